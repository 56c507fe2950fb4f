"""From gaze pixels and the animal's pose to rays and what they hit, as VirtualMaze's camera sees the maze.

Maze axes are left-handed, y up; headings in degrees, 0 = +z, 90 = +x. Pixels count from
the screen's upper left corner, as EyeLink's do.
"""

from dataclasses import dataclass

import numpy as np

from hippflow.behaviour.raycasting import Caster
from hippflow.behaviour.scene import Scene

#: Markers, frames and samples of one instant differ by this much at most, s: clocks are mapped in floating point.
ROUNDING = 1e-6

#: Turn from one ray of a fan to the next.
_TURN = 0.618

#: What is shown on the screen over the maze (:meth:`Timeline.shown`).
CUE_SHOWN, HINT_SHOWN, NOTHING_SHOWN = 0, 1, 2


def pose_table(x: np.ndarray, z: np.ndarray, heading: np.ndarray) -> np.ndarray:
    """Return positions and headings (deg) in the form that :meth:`Camera.rays` takes.

    Returns
    -------
    ndarray of float64
        Shape (4, N): x, z, sine and cosine of the heading.
    """
    radians = np.deg2rad(heading)
    return np.stack([x, z, np.sin(radians), np.cos(radians)]).astype(np.float64)


def fan_offsets(radius: float, density: float) -> np.ndarray:
    """Return the rays of a fan around a pixel: a spiral from the pixel itself out to `radius`.

    Parameters
    ----------
    radius : float
        px; 0 for the pixel alone.
    density : float
        Rays per 100 x 100 px.

    Returns
    -------
    ndarray of float64
        Shape (2, n), px, n = max(2, radius^2 pi density / 10000 rounded up).

    Examples
    --------
    >>> [fan_offsets(radius, 220).shape[1] for radius in (0, 1, 20, 50, 100)]
    [1, 2, 28, 173, 692]
    """
    if not radius:
        return np.zeros((2, 1))
    steps = np.arange(max(2, int(np.ceil(radius**2 * np.pi * density / 10000))))
    angle = steps * (_TURN * 2 * np.pi)
    return radius * np.sqrt(steps / steps[-1]) * np.stack([np.cos(angle), np.sin(angle)])


@dataclass(frozen=True)
class ScreenImage:
    """A picture at a fixed place on the screen, edges in px, included."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def centre(self) -> np.ndarray:
        """Pixel in the middle, shape (2, 1)."""
        return np.array([[(self.left + self.right) / 2], [(self.top + self.bottom) / 2]])

    def contains(self, gaze: np.ndarray) -> np.ndarray:
        """Tell which pixels, shape (2, N), lie on the image; NaN does not."""
        return (gaze[0] >= self.left) & (gaze[0] <= self.right) & (gaze[1] >= self.top) & (gaze[1] <= self.bottom)


@dataclass(frozen=True)
class Camera:
    """The camera that the animal sees the maze through.

    Attributes
    ----------
    screen : tuple of float
        Width and height, px.
    vertical_fov : float
        Angle from the upper to the lower edge of the screen, deg.
    pitch : float
        How far it looks down, deg.
    eye_height : float
        Above the floor's zero, maze units.
    near : float
        Distance of the near plane, on which rays start: what is nearer is not seen.
    image_distance : float
        Distance at which cue and hint float before the camera.
    """

    screen: tuple[float, float] = (1920.0, 1080.0)
    vertical_fov: float = 60.0
    pitch: float = 12.0
    eye_height: float = 1.85
    near: float = 0.3
    image_distance: float = 0.5

    @property
    def units_per_pixel(self) -> float:
        """Size of a pixel in the plane of the images, maze units."""
        return 2 * self.image_distance * np.tan(np.deg2rad(self.vertical_fov) / 2) / self.screen[1]

    def on_screen(self, gaze: np.ndarray) -> np.ndarray:
        """Tell which pixels, shape (2, N), lie on the screen, edges included; NaN does not."""
        return ScreenImage(0, 0, *self.screen).contains(gaze)

    def rays(self, gaze: np.ndarray, poses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return where the rays through pixels start, on the near plane, and where they go.

        Parameters
        ----------
        gaze : ndarray
            Shape (2, N), px.
        poses : ndarray of float64
            Shape (4, N), from :func:`pose_table`.

        Returns
        -------
        origins, directions : ndarray of float64
            Shape (3, N), maze units. Directions go one unit forward, whatever their length.

        Examples
        --------
        >>> level = Camera(pitch=0)
        >>> origins, directions = level.rays(np.array([[960.0], [540.0]]), pose_table([1], [2], [90]))
        >>> origins.round(6)[:, 0].tolist(), directions.round(6)[0].tolist()
        ([1.3, 1.85, 2.0], [1.0])
        """
        width, height = self.screen
        x, z, sine, cosine = poses
        slope = np.tan(np.deg2rad(self.vertical_fov) / 2)
        right = (gaze[0] * (2 / height) - width / height) * slope
        up = (1 - gaze[1] * (2 / height)) * slope
        down_sine, down_cosine = np.sin(np.deg2rad(self.pitch)), np.cos(np.deg2rad(self.pitch))
        ahead = up * down_sine + down_cosine
        directions = np.empty((3, len(ahead)))
        directions[0] = right * cosine + ahead * sine
        directions[1] = up * down_cosine - down_sine
        directions[2] = ahead * cosine - right * sine
        origins = directions * self.near
        origins[0] += x
        origins[1] += self.eye_height
        origins[2] += z
        return origins, directions


@dataclass(frozen=True)
class Timeline:
    """Which frame, and which image over it, was on the screen at a time.

    Attributes
    ----------
    markers : ndarray of float64
        Shape (3 T,), s, increasing: start (cue on), cue off (hint on) and end of every trial.
    frames : ndarray of float64
        Shape (F,), s: when each row of the maze's log was drawn.
    rows : ndarray of int64
        Shape (3 T,): the row of every marker.
    """

    markers: np.ndarray
    frames: np.ndarray
    rows: np.ndarray

    def _stretch(self, times: np.ndarray) -> np.ndarray:
        return np.searchsorted(self.markers - ROUNDING, times, "right") - 1

    def frame_rows(self, times: np.ndarray) -> np.ndarray:
        """Return the row whose pose the animal had at each time, from the first marker on.

        A frame holds until the next is drawn, that instant included; a sample at a marker
        has the marker's own frame. Between two markers only frames from one to the other count.
        """
        stretch = self._stretch(times)
        rows = np.searchsorted(self.frames, times - ROUNDING, "left") - 1
        last = np.append(self.rows[1:], len(self.frames) - 1)
        return np.clip(rows, self.rows[stretch], last[stretch])

    def shown(self, times: np.ndarray) -> np.ndarray:
        """Return CUE_SHOWN, HINT_SHOWN or NOTHING_SHOWN for each time; a sample at a marker has what follows it."""
        stretch = self._stretch(times)
        return np.where(stretch < 0, NOTHING_SHOWN, stretch % 3)

    def trials(self, times: np.ndarray) -> np.ndarray:
        """Return the trial, from its start to before its end, of each time; -1 between trials."""
        stretch = self._stretch(times)
        return np.where((stretch < 0) | (stretch % 3 == 2), -1, stretch // 3)


class Gaze:
    """What the animal looks at: the maze through its camera, and the images shown on the screen over it.

    Parameters
    ----------
    scene : Scene
    camera : Camera
    cue, hint : ScreenImage or None
        Where the two images are while they are shown; None where there is none.

    Attributes
    ----------
    names : tuple of str
        What the indices of objects mean; cue and hint come after the scene's objects.
    """

    def __init__(self, scene: Scene, camera: Camera, cue: ScreenImage | None, hint: ScreenImage | None):
        self.names, self._scene, self._camera, self._caster = scene.names, scene, camera, Caster(scene)
        images = ((cue, CUE_SHOWN, scene.n_objects), (hint, HINT_SHOWN, scene.n_objects + 1))
        self._images = [image for image in images if image[0] is not None]

    def targets(self, pixels: np.ndarray, poses: np.ndarray, shown: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Find object and point behind each pixel.

        Parameters
        ----------
        pixels : ndarray
            Shape (2, N), not NaN; may lie beyond the edges of the screen.
        poses : ndarray of float64
            Shape (4, N), see :func:`pose_table`.
        shown : ndarray of int
            Shape (N,), see :meth:`Timeline.shown`.

        Returns
        -------
        objects : ndarray of int16
            Shape (N,), indices into `names`; -1 where there is nothing.
        points : ndarray of float64
            Shape (3, N), maze units.
        """
        origins, directions = self._camera.rays(pixels, poses)
        objects, depth = self._caster.cast(origins, directions)
        for image, when, number in self._images:
            index = np.flatnonzero(shown == when)
            index = index[image.contains(pixels[:, index])]
            objects[index], depth[index] = number, self._camera.image_distance - self._camera.near
        return objects, origins + np.where(np.isfinite(depth), depth, np.nan) * directions

    def placement(
        self, objects: np.ndarray, points: np.ndarray, pixels: np.ndarray, poses: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the positions of the objects that were hit, and the offsets of the hits from them.

        Parameters
        ----------
        objects, points, pixels, poses : ndarray
            As of :meth:`targets`; of rays that hit something.

        Returns
        -------
        positions : ndarray of float64
            Shape (3, N).
        offsets : ndarray of float64
            Shape (2, N): see :meth:`hippflow.behaviour.scene.Scene.offsets`; right and up on an image.
        """
        in_maze = np.where(objects < self._scene.n_objects, objects, 0)
        positions, offsets = self._scene.position[in_maze].T.copy(), self._scene.offsets(in_maze, points)
        for image, _, number in self._images:
            index = np.flatnonzero(objects == number)
            origins, directions = self._camera.rays(np.broadcast_to(image.centre, (2, len(index))), poses[:, index])
            positions[:, index] = origins + (self._camera.image_distance - self._camera.near) * directions
            scale = self._camera.units_per_pixel
            offsets[:, index] = (pixels[:, index] - image.centre) * [[scale], [-scale]]
        return positions, offsets
