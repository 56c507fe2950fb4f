import pytest

from hippflow.cloud.archive import find_days, list_day_files
from hippflow.cloud.archive_local import part_size
from hippflow.errors import StorageError

MIB = 1 << 20
DAY = "picasso/20181105"


def test_the_files_of_a_day_are_its_products_logs_and_benchmarks_that_are_whole(tmp_path):
    wanted = [
        f"benchmarks/edfsplit/{DAY}.tsv",
        f"benchmarks/rplsplit/{DAY}/session01.tsv",
        f"logs/edfsplit/{DAY}.log",
        f"logs/rplsplit/{DAY}/session01.log",
        f"{DAY}/mountains/channel009/units.csv",
        f"{DAY}/session01/.hidden",
        f"{DAY}/session01/a.part",
    ]
    others = [
        f"{DAY}/session01/.a.hkl.node-12.part",
        f"logs/rplsplit/{DAY}/.session01.log.node-12.part",
        "logs/rplsplit/picasso/20181106/session01.log",
        "logs/rplsplit/picasso/201811051/session01.log",
        "logs/driver.log",
        "picasso/20181106/session01/a.hkl",
        "titi/20181105/a.hkl",
        "summary.html",
    ]
    for name in (*wanted, *others):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    assert [path.relative_to(tmp_path).as_posix() for path in list_day_files(tmp_path, DAY)] == wanted
    assert find_days(tmp_path) == [DAY, "picasso/20181106", "titi/20181105"]
    assert find_days(tmp_path, "20181105") == [DAY, "titi/20181105"]
    assert find_days(tmp_path, "titi/20181105") == ["titi/20181105"]
    with pytest.raises(StorageError, match="expected results of 20181107, found picasso/20181105, .*; name a day as"):
        find_days(tmp_path, "20181107")
    with pytest.raises(StorageError, match="expected files of picasso/20181107, found none"):
        list_day_files(tmp_path, "picasso/20181107")


@pytest.mark.parametrize("size", [1, 16 * MIB, 16 * MIB + 1, 10_000 * 16 * MIB, 10_000 * 16 * MIB + 1, 5 << 40])
def test_parts_are_as_many_and_as_large_as_s3_allows(size):
    part = part_size(size)
    assert 5 * MIB <= part <= 5 << 30 and part % MIB == 0
    assert -(-size // part) <= 10_000
