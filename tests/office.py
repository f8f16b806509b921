"""The services of a server on a store of the suite, with people in an organization."""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from execlave_server.actions.ask_validator import Validators
from execlave_server.actions.estimate_cost import CostEstimator
from execlave_server.actions.identify_caller import KeyRing
from execlave_server.actions.issue_key import create_organization, issue_key
from execlave_server.actions.manage_people import add_person
from execlave_server.actions.reach_validator import ValidatorConnector
from execlave_server.actions.read_agents import AgentRegistry
from execlave_server.actions.read_policies import PolicyBook
from execlave_server.actions.services import Services
from execlave_server.actions.sign_in import Credentials
from execlave_server.actions.watch_disk import DiskWatch
from execlave_server.audit.chain import Entry, Head, verify_chain
from execlave_server.clock import Clock
from execlave_server.datadog.connection import DatadogConnector
from execlave_server.model.organizations import ApiKey, KeyEnvironment, Organization, Role
from execlave_server.model.people import Person, PersonRole
from execlave_server.model.secret import Secret
from execlave_server.settings import Settings
from execlave_server.store.disk import FolderDisk, Reserve
from execlave_server.store.protocol import Store
from execlave_server.vault.envelope import Vault
from execlave_server.vault.key_encryption_key import create_key_file, open_key_file

PASSWORD = "correct horse battery"


def services_on(store: Store, clock: Clock, folder: Path) -> Services:
    """What the composition root makes, on this store; the same key-encryption key for the same folder."""
    if not (folder / "kek").exists():
        create_key_file(folder / "kek")
    settings, disk = Settings(data_dir=folder), FolderDisk(folder)
    return Services(
        store=store,
        clock=clock,
        settings=settings,
        vault=Vault(open_key_file(folder / "kek")),
        keys=KeyRing(store, Secret("pepper"), clock),
        agents=AgentRegistry(store),
        policies=PolicyBook(store),
        costs=CostEstimator(),
        datadog=DatadogConnector(settings),
        validators=Validators(ValidatorConnector(settings), Secret("pepper"), clock),
        disk=DiskWatch(disk, Reserve(folder / "reserve", 0, disk), 0),
    )


@dataclass(frozen=True)
class Office:
    """An organization with an agent's key and somebody who may decide."""

    services: Services
    organization: Organization
    key: ApiKey
    ada: Person

    async def person(self, email: str, role: PersonRole) -> Person:
        """Somebody more, with the same password."""
        return await add_person(
            self.services, self.organization, email=email, name="", role=role, password=Secret(PASSWORD)
        )

    def credentials(
        self, password: str = PASSWORD, email: str = "ada@example.com", address: str = "::1"
    ) -> Credentials:
        """What somebody types."""
        return Credentials(email, Secret(password), None, address)

    async def entries(self) -> list[Entry]:
        """The audit chain, which must be whole."""
        wanted = {"organization": self.organization.number, "after": 0, "limit": 10_000}
        entries = await self.services.store.find(Entry, "audit_entries", wanted)
        assert list(verify_chain(entries, Head(self.organization.id))) == []
        return entries

    async def told(self, *kinds: str) -> list[dict[str, object]]:
        """The details of the entries of these kinds, in order."""
        return [msgspec.json.decode(entry.details) for entry in await self.entries() if entry.kind in kinds]


async def open_office(services: Services, name: str = "Acme") -> Office:
    """A new organization with its people."""
    organization = await create_organization(services, name)
    _, key = await issue_key(services, organization, name="", environment=KeyEnvironment.PRODUCTION, role=Role.AGENT)
    ada = await add_person(
        services,
        organization,
        email="Ada@Example.com ",
        name="Ada",
        role=PersonRole.APPROVER,
        password=Secret(PASSWORD),
    )
    return Office(services, organization, await services.keys.identify(key.reveal()), ada)
