from collections.abc import Iterator

import pytest
from support.house import House


@pytest.fixture
def house() -> Iterator[House]:
    house = House()
    yield house
    house.close()
