"""A fleet of scripted agents: what they are, the steps each of them takes, and what goes wrong with some of them."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from execlave_server.demo.runs import Run, ToolFailedError
from execlave_server.demo.troubles import follow_a_stranger, read_without_end, tidy_the_database

Script = Callable[[Run], None]

QUESTIONS = ("Where is my order?", "I want a refund.", "Change my address, please.")
MAIL_FAILS, MODEL_TIMES_OUT = 0.1, 0.1  # of the runs


@dataclass(frozen=True)
class Trouble:
    """In these of its runs, counted from 1, an agent follows this script instead of its own."""

    script: Script
    runs: range


@dataclass(frozen=True)
class ScriptedAgent:
    """One agent of the fleet. `autonomy_level` None: it acts without having been registered."""

    agent_id: str
    name: str
    autonomy_level: str | None
    script: Script
    trouble: Trouble | None = None
    waits_for_people: bool = False

    def script_of(self, run_number: int) -> Script:
        """What it does in a run."""
        if self.trouble and run_number in self.trouble.runs:
            return self.trouble.script
        return self.script


def answer_customer(run: Run) -> None:
    """Support: read the question, look the order up, answer by e-mail."""
    question = run.chance.choice(QUESTIONS)
    run.root.set_input(question)
    with run.think("gpt-4o-mini") as plan:
        plan.set_input(question).set_output("look up the order, then answer")
    with run.use("find_order", {"order": f"W{run.chance.randrange(1_000_000):07}"}) as found:
        found.set_output({"state": run.chance.choice(["shipped", "lost", "delivered"])})
    if run.chance.random() < MAIL_FAILS:
        raise ToolFailedError("send_email: SMTP 451 for mia.li@example.com, try again")
    with run.use("send_email", {"to": "customer"}) as sent:
        sent.set_output("queued")
    run.root.set_output("answered")


def settle_invoices(run: Run) -> None:
    """Billing: settle what is due, asking before each invoice."""
    amount = round(run.chance.uniform(20, 900), 2)
    run.root.set_input({"invoice": run.chance.randrange(10_000), "amount_usd": amount})
    with run.think("gpt-4o-mini") as plan:
        plan.set_output("settle it")
    run.ask(f"settle an invoice of {amount} USD", "settle_invoice")
    with run.use("settle_invoice", {"amount_usd": amount}) as settled:
        settled.set_output({"receipt": f"R{run.chance.randrange(100_000):05}"})
    run.root.set_output("settled")


def research_topic(run: Run) -> None:
    """Research: retrieve documents and sum them up; sometimes the model takes too long."""
    topic = run.chance.choice(["heat pumps", "lithium prices", "port congestion"])
    run.root.set_input(topic)
    with run.retrieve("vector_search") as search:
        search.set_input(topic).set_output({"documents": run.chance.randrange(3, 12)})
    summary = run.think("gpt-4o-mini")
    if run.chance.random() < MODEL_TIMES_OUT:
        summary.finish("timeout", "no answer within 30 s", "ReadTimeout")
        run.root.set_output("gave up")
        return
    summary.set_output("a summary").finish()
    run.root.set_output("a report")


def refund_customer(run: Run) -> None:
    """Refunds: its tier has a person decide each of them, and until then it stands still."""
    amount = run.chance.randrange(40, 400)
    run.root.set_input({"order": f"W{run.chance.randrange(1_000_000):07}", "amount_usd": amount})
    run.ask(f"refund {amount} USD: the parcel arrived broken", "issue_refund")
    with run.use("issue_refund", {"amount_usd": amount}) as refunded:
        refunded.set_output("refunded")
    run.root.set_output("refunded")


def scrape_prices(run: Run) -> None:
    """A script that nobody registered: its traces are kept, and say so."""
    run.root.set_input("https://shop.example/prices")
    with run.use("fetch_page", {"url": "https://shop.example/prices"}) as page:
        page.set_output({"prices": run.chance.randrange(40)})


# One trouble after the other, so that each alert is seen for itself. A stopped run counts at least twice, by the span
# of the tool and by its own: eight such runs are a burst, two are none.
FLEET = (
    ScriptedAgent(
        "support-bot", "Support Bot", "act_with_approval", answer_customer, Trouble(follow_a_stranger, range(5, 13))
    ),
    ScriptedAgent(
        "billing-agent", "Billing Agent", "autonomous", settle_invoices, Trouble(tidy_the_database, range(15, 17))
    ),
    ScriptedAgent(
        "research-assistant", "Research Assistant", "observe", research_topic, Trouble(read_without_end, range(20, 38))
    ),
    ScriptedAgent("refund-agent", "Refund Agent", "act_with_approval", refund_customer, waits_for_people=True),
    ScriptedAgent("price-scraper", "Price Scraper", None, scrape_prices),
)


def chance_of(agent: ScriptedAgent) -> random.Random:
    """The same course of events at each start."""
    return random.Random(agent.agent_id)  # noqa: S311 - nothing here is secret
