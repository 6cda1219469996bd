"""The status of a MarketCollector, with its schema and descriptions. Only the operator writes it."""

from typing import Annotated, Literal

from pydantic import Field

from market_operator.resource.schema import Kube, Model, Words
from market_spec.collection import MAX_SHARDS

Int32 = Annotated[int, Words(format="int32")]
Int64 = Annotated[int, Words(format="int64")]
Time = Annotated[str, Words(format="date-time")]


class Counters(Model):
    """Counters; each only grows."""

    messages: Int64 = Field(default=0, ge=0, description="Messages received from the exchange.")
    records: Int64 = Field(default=0, ge=0, description="Records handed to the sinks.")
    reconnections: Int64 = Field(default=0, ge=0, description="Reconnects to the exchange.")
    resyncs: Int64 = Field(default=0, ge=0, description="Order book resyncs.")
    dropped_records: Int64 = Field(default=0, ge=0, description="Records dropped because the queue of a sink was full.")
    gaps_detected: Int64 = Field(default=0, ge=0, description="Gaps found in the data.")
    gaps_repaired: Int64 = Field(default=0, ge=0, description="Gaps backfilled from the exchange's history.")
    gaps_lost: Int64 = Field(default=0, ge=0, description="Gaps given up because no history covers them.")
    missing_trades: Int64 = Field(default=0, ge=0, description="Trades missing in gaps when they were found.")
    recovered_trades: Int64 = Field(default=0, ge=0, description="Of these, trades recovered later.")
    lost_trades: Int64 = Field(default=0, ge=0, description="Of these, trades given up.")
    skipped_updates: Int64 = Field(
        default=0, ge=0, description="Order book updates skipped while a book was out of sync."
    )
    unreadable_frames: Int64 = Field(default=0, ge=0, description="Messages of the exchange that could not be read.")


class Epoch(Counters):
    """The counters of one run of one collector process, which start at zero."""

    epoch: str = Field(max_length=253, description="Identity of the run: pod UID and start of the container.")
    pod: str = Field(default="", max_length=253, description="Name of the pod.")


class ShardStatus(Model):
    """The counters of one shard, kept over restarts of the pods and of the operator."""

    shard: Int32 = Field(ge=0, description="Number of the shard, from 0.")
    base: Counters = Field(default=Counters(), description="Sum of the runs that have ended.")
    epochs: Annotated[tuple[Epoch, ...], Kube(list_type="map", list_map_keys=["epoch"])] = Field(
        default=(), max_length=32, description="Runs that have not ended, each with its last known counters."
    )
    counted_through: str | None = Field(
        default=None,
        max_length=253,
        description="Start of the newest run in base whose pod had finished, such as after an eviction.",
    )


class Condition(Model):
    """One condition, in the standard form of Kubernetes."""

    type: str = Field(max_length=316, description="Name of the condition.")
    status: Literal["True", "False", "Unknown"] = Field(
        description="True, False, or Unknown when it could not be observed."
    )
    observed_generation: Int64 | None = Field(
        default=None, ge=0, description="Generation of the spec that the condition describes."
    )
    last_transition_time: Time = Field(description="When the status of the condition last changed.")
    reason: str = Field(
        min_length=1,
        max_length=1024,
        pattern="^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
        description="One word for programs.",
    )
    message: str = Field(max_length=32768, description="Details for people: what, how many, why, what next.")


class Gaps(Model):
    """Gaps in the data since the resource was created."""

    detected: Int64 = Field(default=0, ge=0, description="Gaps found.")
    repaired: Int64 = Field(default=0, ge=0, description="Gaps backfilled.")
    open: Int64 = Field(
        default=0, ge=0, description="Open gaps of the running collectors, neither backfilled nor given up."
    )
    lost: Int64 = Field(default=0, ge=0, description="Gaps given up, since no history fills them.")
    missing_trades: Int64 = Field(default=0, ge=0, description="Trades missing in gaps when they were found.")
    recovered_trades: Int64 = Field(default=0, ge=0, description="Of these, trades recovered later.")
    lost_trades: Int64 = Field(default=0, ge=0, description="Of these, trades given up.")


class Streams(Model):
    """One stream is one data type (or candle interval) of one symbol."""

    total: Int32 = Field(default=0, ge=0, description="Streams that the spec asks for.")
    live: Int32 = Field(default=0, ge=0, description="Streams that deliver, or whose market is quiet.")
    summary: str = Field(default="", max_length=32, description="Live and total, such as 6/6.")


class UnhealthyStream(Model):
    """A stream that does not deliver."""

    stream: str = Field(max_length=128, description="Symbol and data type, such as BTC-USDT/trade.")
    reason: str = Field(max_length=1024, description="Why it does not deliver.")
    since: Time | None = Field(default=None, description="Since when.")


class LastReconnect(Model):
    """The newest reconnect of any collector."""

    time: Time = Field(description="When it happened.")
    reason: str = Field(default="", max_length=1024, description="Why the connection was closed.")


class Status(Model):
    """Status as the operator observed it. Counters are written at most once a minute; metrics have the live numbers."""

    observed_generation: Int64 | None = Field(
        default=None, description="Generation of the spec that this status describes."
    )
    conditions: Annotated[tuple[Condition, ...], Kube(list_type="map", list_map_keys=["type"])] = Field(
        default=(),
        description="Ready (the summary), Accepted, WorkloadReady, Streaming, Complete, SinksHealthy; "
        "Reconciling and Stalled only while True.",
    )
    health: Literal["Healthy", "Degraded", "Unhealthy", "Unknown"] | None = Field(
        default=None, description="One word for people, derived from the conditions."
    )
    symbols: str | None = Field(default=None, max_length=512, description="The symbols in short, for kubectl get.")
    reconnections: Int64 | None = Field(default=None, description="Reconnects since the resource was created.")
    resyncs: Int64 | None = Field(default=None, description="Order book resyncs since the resource was created.")
    messages: Int64 | None = Field(default=None, description="Messages received since the resource was created.")
    records: Int64 | None = Field(default=None, description="Records handed to sinks since the resource was created.")
    dropped_records: Int64 | None = Field(
        default=None,
        description="Records dropped by full sink queues since the resource was created.",
    )
    skipped_updates: Int64 | None = Field(
        default=None,
        description="Updates of books out of sync, skipped since the resource was created.",
    )
    unreadable_frames: Int64 | None = Field(
        default=None, description="Messages of the exchange that could not be read since the resource was created."
    )
    gaps: Gaps | None = Field(default=None, description="Gaps in the data since the resource was created.")
    streams: Streams | None = Field(default=None, description="How many streams deliver.")
    unhealthy_streams: (
        Annotated[tuple[UnhealthyStream, ...], Kube(list_type="map", list_map_keys=["stream"])] | None
    ) = Field(default=None, max_length=20, description="The first 20 streams that do not deliver.")
    shards: Int32 | None = Field(default=None, description="Number of shards (for the scale subresource).")
    ready_shards: Int32 | None = Field(
        default=None, description="Shards whose pods all run the desired version and are ready."
    )
    selector: str | None = Field(
        default=None, max_length=1024, description="Label selector of the pods (for the scale subresource)."
    )
    pods: str | None = Field(default=None, max_length=32, description="Ready and desired pods, such as 2/2.")
    image: str | None = Field(default=None, max_length=512, description="Image of the collectors.")
    last_message_time: Time | None = Field(default=None, description="When the exchange last sent a message.")
    last_reconnect: LastReconnect | None = Field(default=None, description="The newest reconnect.")
    shard_statuses: Annotated[tuple[ShardStatus, ...], Kube(list_type="map", list_map_keys=["shard"])] | None = Field(
        default=None, max_length=MAX_SHARDS, description="Counters per shard, which keep the totals over restarts."
    )


PENDING = {
    "observedGeneration": -1,
    "conditions": [
        {
            "type": "Ready",
            "status": "Unknown",
            "reason": "Pending",
            "message": "Waiting for the operator to look at this resource",
            "lastTransitionTime": "1970-01-01T00:00:00Z",
        }
    ],
}
"""The status that the API server gives a new resource.

Without it, helm --wait and kstatus report a resource as ready before any operator has seen it.
"""
