import asyncio
from dataclasses import dataclass, field
from functools import cached_property

from execlave_server.actions.ask_validator import Validators
from execlave_server.actions.credential_memory import CredentialMemory
from execlave_server.actions.estimate_cost import CostEstimator
from execlave_server.actions.identify_caller import KeyRing
from execlave_server.actions.key_uses import KeyUses
from execlave_server.actions.read_agents import AgentRegistry
from execlave_server.actions.read_policies import PolicyBook
from execlave_server.actions.right_of_way import RightOfWay
from execlave_server.actions.run_verification import Verifications
from execlave_server.actions.watch_disk import DiskWatch
from execlave_server.clock import Clock
from execlave_server.datadog.connection import DatadogConnector
from execlave_server.metrics import ServerMetrics
from execlave_server.settings import Settings
from execlave_server.store.protocol import Store
from execlave_server.vault.envelope import Vault


@dataclass(frozen=True)
class Services:
    """What the actions work with; the composition root makes one for each process."""

    store: Store
    clock: Clock
    settings: Settings
    vault: Vault
    keys: KeyRing
    agents: AgentRegistry
    policies: PolicyBook
    costs: CostEstimator
    datadog: DatadogConnector
    validators: Validators
    disk: DiskWatch
    metrics: ServerMetrics = field(default_factory=ServerMetrics)
    uses: KeyUses = field(default_factory=KeyUses)
    credentials: CredentialMemory = field(default_factory=CredentialMemory)
    verifications: Verifications = field(default_factory=Verifications)
    governed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by what stops or resumes an agent or revokes a key here, so that this process's sockets hear it at once."""

    @cached_property
    def right_of_way(self) -> RightOfWay:
        """Who may go on, where decisions and longer work share the process."""
        return RightOfWay(self.clock)
