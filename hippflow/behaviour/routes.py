"""Routes through the maze: how far the animal went, and how far it had to.

The maze's corridors are a graph. Every frame belongs to the vertex nearest to the
animal, a route is the sequence of vertices without repetitions, and every change
of vertex costs one edge, as in PyHipp's Unity. The shortest way from the vertex at
cue offset to the one nearest to the poster is Dijkstra's.
"""

from dataclasses import dataclass

import networkx
import numpy as np

#: Code of an end without its poster: reward (a timeout has 40).
_REWARD = 30


@dataclass(frozen=True)
class Maze:
    """A maze as a graph of points on its floor, in maze units.

    Attributes
    ----------
    vertices : tuple of (x, z)
    posters : tuple of (x, z)
        Of posters 1, 2, ...
    edge : float
        Vertices this far apart are joined.
    """

    vertices: tuple[tuple[float, float], ...]
    posters: tuple[tuple[float, float], ...]
    edge: float

    def nearest(self, points: np.ndarray) -> np.ndarray:
        """Return the index of the vertex nearest to every point, the first of equally near ones.

        Parameters
        ----------
        points : array of float, shape (n, 2)
            x and z.

        Examples
        --------
        >>> DOUBLE_TEE.nearest([[-9.0, 9.0], [2.4, 0.3]]).tolist()
        [0, 10]
        """
        points, vertices = np.asarray(points, float), np.asarray(self.vertices)
        x, z = (points[:, axis, None] - vertices[:, axis] for axis in (0, 1))
        return (x * x + z * z).argmin(axis=1)

    def shortest(self) -> np.ndarray:
        """Return the cost of the shortest route from every vertex to every poster's, shape (vertices, posters).

        Examples
        --------
        >>> DOUBLE_TEE.shortest()[10].tolist()  # from the middle of the maze
        [15.0, 15.0, 15.0, 15.0, 5.0, 5.0]
        """
        graph = networkx.Graph()
        points = np.asarray(self.vertices)
        for a, b in np.argwhere(np.isclose(np.hypot(*(points[:, None] - points).T), self.edge)).tolist():
            graph.add_edge(a, b, weight=self.edge)
        costs = np.full((len(points), len(self.posters)), np.nan)
        for poster, goal in enumerate(self.nearest(self.posters).tolist()):
            for vertex, cost in networkx.single_source_dijkstra_path_length(graph, goal).items():
                costs[vertex, poster] = cost
        return costs


#: The lab's maze: corridors around four pillars, numbered row by row from the corner at -x, +z.
DOUBLE_TEE = Maze(
    vertices=tuple(
        (float(x), float(z))
        for z in (10, 5, 0, -5, -10)
        for x in ((-10, -5, 0, 5, 10) if z in (10, 0, -10) else (-10, 0, 10))
    ),
    posters=((-5, -7.55), (-7.55, 5), (7.55, -5), (5, 7.55), (5, 2.45), (-5, -2.45)),
    edge=5.0,
)


def is_shortest(
    frames: np.ndarray, ideal: float, goal: int, *, rewarded: bool, reversal_frames: int, maze: Maze = DOUBLE_TEE
) -> bool:
    """Judge whether the animal took the shortest route, but for slips at the joystick.

    A rewarded trial counts if its route costs no more than the shortest one; or if
    it overshot (its last step leaves the goal's vertex); or if it has reversals
    (one vertex into a corridor and back) and none of those vertices was occupied for
    more than `reversal_frames` frames of the trial. These are the rules of the lab's
    MATLAB umaze: a single long reversal rejects a trial, where PyHipp's Unity accepts
    it if any other reversal before it was short. As there, a long way round is not
    looked at once a route has reversals, all short.

    Parameters
    ----------
    frames : array of int, shape (n,)
        Vertex of every frame from cue offset to the trial's end.
    ideal : float
        Cost of the shortest route.
    goal : int
        Vertex of the poster.
    rewarded : bool
        Whether the trial ended by a reward; a timeout never counts.
    reversal_frames : int

    Examples
    --------
    >>> frames = [10] * 5 + [11] * 3 + [10] * 5 + [9] * 20  # a slip to the right on the way left
    >>> is_shortest(frames, 5.0, 9, rewarded=True, reversal_frames=3)
    True
    >>> is_shortest(frames, 5.0, 9, rewarded=True, reversal_frames=2)
    False
    """
    if not rewarded:
        return False
    frames = np.asarray(frames, np.int64)
    route = _route(frames)
    if (len(route) - 1) * maze.edge <= ideal:
        return True
    if route[-1] != goal and route[-2] == goal:
        return True
    turned = route[1:-1][route[:-2] == route[2:]]
    return turned.size > 0 and bool((np.bincount(frames)[turned] <= reversal_frames).all())


def _route(frames: np.ndarray) -> np.ndarray:
    """Return the vertices without repetitions."""
    return frames[np.append(True, np.diff(frames) != 0)]


def route_costs(
    positions: np.ndarray, rows: np.ndarray, end_codes: np.ndarray, *, reversal_frames: int, maze: Maze = DOUBLE_TEE
) -> np.ndarray:
    """Measure the routes of all trials.

    Parameters
    ----------
    positions : array of float, shape (n_rows, 2)
        x and z of every row of the log.
    rows : array of int, shape (n_trials, 3)
        Rows of start, cue offset and end.
    end_codes : array of int, shape (n_trials,)
        Codes of the ends, 3x or 4x.
    reversal_frames : int
        See :func:`is_shortest`.

    Returns
    -------
    ndarray of float64, shape (n_trials, 6)
        PyHipp's sumCost: cost of the shortest route from the vertex at cue offset, cost of the route taken
        (one edge for every change of vertex), their difference, poster, 30 for reward or 40 for timeout,
        1 if the route counts as shortest.
    """
    positions, end_codes = np.asarray(positions, float), np.asarray(end_codes, np.int64)
    shortest, goals = maze.shortest(), maze.nearest(maze.posters)
    costs = np.zeros((len(rows), 6))
    for trial, ((_, cue, end), code) in enumerate(zip(rows, end_codes.tolist(), strict=True)):
        frames, poster = maze.nearest(positions[cue : end + 1]), code % 10
        ideal, taken = shortest[frames[0], poster - 1], (len(_route(frames)) - 1) * maze.edge
        counts = is_shortest(
            frames,
            ideal,
            int(goals[poster - 1]),
            rewarded=code - poster == _REWARD,
            reversal_frames=reversal_frames,
            maze=maze,
        )
        costs[trial] = ideal, taken, taken - ideal, poster, code - poster, counts
    return costs


def route_ratios(costs: np.ndarray) -> np.ndarray:
    """Return cost taken over cost of the shortest route, NaN where a trial began at its goal.

    Examples
    --------
    >>> route_ratios(np.array([[10.0, 15, 5, 1, 30, 0], [0, 5, 5, 1, 30, 0]])).tolist()
    [1.5, nan]
    """
    ideal, taken = costs[:, 0], costs[:, 1]
    return np.divide(taken, ideal, out=np.full(len(costs), np.nan), where=ideal > 0)
