"""How a damaged file is refused: with an error that names it and says what is wrong."""

import pytest

from hippflow.errors import FormatError


def refused(read, path, message):
    with pytest.raises(FormatError, match=message) as error:
        read(path)
    assert str(path) in str(error.value)
