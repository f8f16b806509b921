"""The free-space mark and the reserve, on a disk whose free space a test sets."""

import pytest

from execlave_server.actions.watch_disk import LOG_BYTES_MIN, DiskWatch
from execlave_server.errors import DiskLowError
from execlave_server.store.disk import FULL_BELOW_BYTES, MIB, FolderDisk, Reserve

MARK = 256 * MIB
RESERVE = 2 * MIB


class FakeDisk:
    """Implements `store.disk.Disk`: a test says what is free, or that nobody can tell."""

    def __init__(self, free_bytes: int) -> None:
        self.free: int | None = free_bytes

    def free_bytes(self) -> int:
        if self.free is None:
            raise OSError("gone")
        return self.free


class Pages:
    """The only statement a watch asks a store for."""

    reusable = 0

    async def rows(self, statement: str) -> list[tuple[int]]:
        assert statement == "reusable_bytes"
        return [(self.reusable,)]


@pytest.fixture
def disk() -> FakeDisk:
    """A disk with room."""
    return FakeDisk(10 * MARK)


@pytest.fixture
def reserve(tmp_path, disk) -> Reserve:
    """A reserve that is really allocated, on a disk that says what the test wants."""
    made = Reserve(tmp_path / "reserve", RESERVE, disk)
    made.refill()
    return made


@pytest.fixture
def watch(disk, reserve) -> DiskWatch:
    """A watch over both."""
    return DiskWatch(disk, reserve, MARK)


class TestMark:
    @pytest.mark.parametrize(
        ("free", "reusable", "low"),
        [
            (MARK, 0, False),
            (MARK - 1, 0, True),
            (MARK - 1, 1, False),  # pages that a sweep freed in the database take traces as well
            (LOG_BYTES_MIN, MARK, False),
            (LOG_BYTES_MIN - 1, MARK, True),  # but the write-ahead log needs the disk itself
            (0, 0, True),
        ],
    )
    async def test_traces_are_refused_below_it(self, watch, disk, free, reusable, low):
        """What is free on the disk or in the database must reach the mark."""
        disk.free, pages = free, Pages()
        pages.reusable = reusable
        await watch.look(pages)

        if low:
            with pytest.raises(DiskLowError, match="256 MB") as refused:
                watch.require_room()
            assert (refused.value.status, refused.value.retry_after_s) == (503, 30)
        else:
            watch.require_room()

    async def test_they_are_taken_again_clearly_above_it(self, watch, disk):
        """Around the mark nothing flutters: it takes a tenth more to be enough again."""
        disk.free = MARK - 1
        await watch.look(Pages())
        disk.free = MARK + 1
        await watch.look(Pages())
        with pytest.raises(DiskLowError):
            watch.require_room()
        disk.free = MARK + MARK // 10
        await watch.look(Pages())

        watch.require_room()

    async def test_a_disk_that_cannot_be_read_changes_nothing(self, watch, disk):
        """When the free space cannot be told, the last finding stands."""
        disk.free = 0
        await watch.look(Pages())
        disk.free = None
        await watch.look(Pages())

        with pytest.raises(DiskLowError):
            watch.require_room()

    async def test_no_mark_refuses_nothing(self, disk, reserve):
        """A mark of 0 lets traces in until the disk itself refuses."""
        watch = DiskWatch(disk, reserve, 0)
        disk.free = 0
        await watch.look(Pages())

        watch.require_room()


class TestReserve:
    async def test_it_is_allocated_released_and_made_again(self, watch, disk, reserve, tmp_path):
        """Its blocks are there from the first look; a full disk gets them; with space again they are back."""
        (tmp_path / "reserve").unlink()
        held = []
        for free in (10 * MARK, FULL_BELOW_BYTES - 1, MARK, MARK + RESERVE):
            disk.free = free
            await watch.look(Pages())
            held.append(reserve.is_held)

        assert held == [True, False, False, True]
        assert (tmp_path / "reserve").stat().st_blocks * 512 >= RESERVE
        assert (tmp_path / "reserve").stat().st_mode & 0o077 == 0

    async def test_what_it_gave_up_is_not_for_traces(self, disk, reserve):
        """However large the reserve is beside the mark, its release lets no traces in."""
        watch = DiskWatch(disk, reserve, RESERVE // 2)
        for free in (0, RESERVE):
            disk.free = free
            await watch.look(Pages())

        assert not reserve.is_held
        with pytest.raises(DiskLowError):
            watch.require_room()

    async def test_a_low_disk_is_not_yet_a_full_one(self, watch, disk, reserve):
        """Below the mark the reserve stays: it is for the moment when nothing else is left."""
        await watch.look(Pages())
        disk.free = FULL_BELOW_BYTES
        await watch.look(Pages())

        assert reserve.is_held

    def test_a_writer_that_fails_gets_it_once(self, disk, reserve):
        """Who finds the disk full is told whether there is room now; an error of another kind releases nothing."""
        elsewhere = reserve.release_if_full()
        disk.free = 0

        assert (elsewhere, reserve.release_if_full(), reserve.release_if_full()) == (False, True, False)

    def test_without_a_size_there_is_none(self, tmp_path):
        """A reserve of 0 makes no file."""
        none = Reserve(tmp_path / "reserve", 0, FolderDisk(tmp_path))
        none.refill()

        assert list(tmp_path.iterdir()) == []

    def test_half_a_reserve_is_none(self, reserve, tmp_path):
        """A file that is shorter than it should be is made whole."""
        (tmp_path / "reserve").write_bytes(b"x")
        half = reserve.is_held
        reserve.refill()

        assert (half, reserve.is_held) == (False, True)


def test_the_free_space_of_a_folder_is_read(tmp_path):
    """A real disk tells some number of bytes."""
    assert FolderDisk(tmp_path).free_bytes() > 0
