"""What the files of the tests' Slurm hold, and the variables by which its processes are known."""

#: Environment variables of daemons and jobs: of which cluster they are, and on which node. Jobs get them from the task
#: prolog, because what a job inherits is up to the one who submits it.
CLUSTER, NODE = "HIPPFLOW_LOCAL_SLURM", "HIPPFLOW_LOCAL_NODE"

#: srun finds a real cluster without SLURM_CONF; Snakemake's job step takes that from its environment, and calls srun.
PROLOG = f"""#!/bin/sh
echo "export {CLUSTER}={{folder}}"
echo "export {NODE}=$SLURMD_NODENAME"
echo "export PATH={{folder}}/bin:$PATH"
"""
SRUN = """#!/bin/sh
export SLURM_CONF={folder}/slurm.conf
exec {srun} "$@"
"""

#: As ParallelCluster's configuration, but for what makes a cluster slow to notice things: timeouts, polling, KillWait,
#: and the credential's life, after which a requeued job may start again. Of its own accord it queues none again: some
#: clusters are set so, and jobs have to ask for it.
CONFIGURATION = """
ClusterName={cluster}
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
AuthInfo=socket={munge},cred_expire=5
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdSpoolDir={folder}/spool/%n
SlurmdPidFile={folder}/run/slurmd.%n.pid
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskProlog={folder}/prolog
SelectType=select/cons_tres
SelectTypeParameters={select}
SchedulerParameters=sched_min_interval=0,batch_sched_delay=0,bf_interval=5
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/log/jobcomp.txt
{accounting}
EnforcePartLimits=ALL
JobRequeue=0
ReturnToService=2
SlurmdTimeout={slurmd_timeout}
KillWait=2
MinJobAge={min_job_age}
MaxJobCount=20000
MaxArraySize=10001
{nodes}
PartitionName=spot Nodes={spot} Default=YES MaxTime=INFINITE State=UP
PartitionName=ondemand Nodes={ondemand} MaxTime=INFINITE State=UP
"""

DATABASE_CONFIGURATION = """
AuthInfo=socket={munge}
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={dbd_port}
SlurmUser={user}
PidFile={folder}/run/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={database_port}
StorageUser=slurm
StoragePass={password}
StorageLoc=slurm
"""

DATABASE_CLIENT = """AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={dbd_port}
AccountingStoragePass={munge}"""
