"""A client of an application over a service that is none."""

import pytest

pytest.importorskip("starlette")
pytest.importorskip("httptools")

from starlette.testclient import TestClient  # noqa: E402

from seq2seq.serving.app import application  # noqa: E402
from tests.serving.fake_service import FakeModel, FakeService  # noqa: E402


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
def client(service: FakeService) -> TestClient:
    return TestClient(application(service))


@pytest.fixture
def several() -> TestClient:
    """Return a client of two models."""
    models = FakeModel("en-de"), FakeModel("many", ("en", "fr"), ("fr", "it"), explains=False)
    return TestClient(application(FakeService(*models)))
