"""The status of a MarketCollector, as its schema and its documentation say it; written by the operator alone."""

from typing import Annotated, Literal

from pydantic import Field

from market_operator.resource.schema import Kube, Model, Words

Int32 = Annotated[int, Words(format="int32")]
Int64 = Annotated[int, Words(format="int64")]
Time = Annotated[str, Words(format="date-time")]


class Counters(Model):
    """What was counted; each number only ever grows."""

    messages: Int64 = Field(default=0, ge=0, description="Messages received from the exchange.")
    records: Int64 = Field(default=0, ge=0, description="Records handed to the sinks.")
    reconnections: Int64 = Field(default=0, ge=0, description="Times that a connection was made again.")
    resyncs: Int64 = Field(default=0, ge=0, description="Times that an order book was fetched anew.")
    dropped_records: Int64 = Field(default=0, ge=0, description="Records that a sink could not take.")
    gaps_detected: Int64 = Field(default=0, ge=0, description="Holes found in the data.")
    gaps_repaired: Int64 = Field(default=0, ge=0, description="Holes that were filled from the exchange's history.")
    gaps_lost: Int64 = Field(default=0, ge=0, description="Holes that were given up, since no history fills them.")
    missing_trades: Int64 = Field(default=0, ge=0, description="Trades that holes lacked when they were found.")
    recovered_trades: Int64 = Field(default=0, ge=0, description="Of these, trades that came later.")
    lost_trades: Int64 = Field(default=0, ge=0, description="Of these, trades that were given up.")
    skipped_updates: Int64 = Field(
        default=0, ge=0, description="Order book updates left out while a book was in doubt."
    )
    unreadable_frames: Int64 = Field(default=0, ge=0, description="Messages of the exchange that could not be read.")


class Epoch(Counters):
    """The counters of one run of one collector process, which starts counting at zero."""

    epoch: str = Field(max_length=253, description="Identity of the run: pod UID and start of the container.")
    pod: str = Field(default="", max_length=253, description="Name of the pod.")


class ShardStatus(Model):
    """What is needed to go on counting after a restart of the pods or of the operator."""

    shard: Int32 = Field(ge=0, description="Number of the shard, from 0.")
    base: Counters = Field(default=Counters(), description="Sum of the runs that have ended.")
    epochs: Annotated[tuple[Epoch, ...], Kube(list_type="map", list_map_keys=["epoch"])] = Field(
        default=(), max_length=32, description="The runs that go on, each with its last known counters."
    )


class Condition(Model):
    """One observation, in the form that all of Kubernetes uses."""

    type: str = Field(max_length=316, description="Name of the condition.")
    status: Literal["True", "False", "Unknown"] = Field(
        description="True, False, or Unknown when it could not be looked at."
    )
    observed_generation: Int64 | None = Field(
        default=None, ge=0, description="Generation of the spec that was looked at."
    )
    last_transition_time: Time = Field(description="When the status of the condition last changed.")
    reason: str = Field(
        min_length=1,
        max_length=1024,
        pattern="^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
        description="One word for programs.",
    )
    message: str = Field(max_length=32768, description="A sentence for people: what, how many, why, what next.")


class Gaps(Model):
    """Holes in the data since the resource was made."""

    detected: Int64 = Field(default=0, ge=0, description="Holes found.")
    repaired: Int64 = Field(default=0, ge=0, description="Holes filled.")
    open: Int64 = Field(
        default=0, ge=0, description="Holes that are neither filled nor given up, in the collectors that run."
    )
    lost: Int64 = Field(default=0, ge=0, description="Holes given up, since no history fills them.")
    missing_trades: Int64 = Field(default=0, ge=0, description="Trades that holes lacked when they were found.")
    recovered_trades: Int64 = Field(default=0, ge=0, description="Of these, trades that came later.")
    lost_trades: Int64 = Field(default=0, ge=0, description="Of these, trades that were given up.")


class Streams(Model):
    """One stream is one data type (or candle interval) of one symbol."""

    total: Int32 = Field(default=0, ge=0, description="Streams that are wanted.")
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
    reason: str = Field(default="", max_length=1024, description="Why the connection was made again.")


class Status(Model):
    """What the operator saw. Counters are written at most once a minute; metrics have the live numbers."""

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
    symbols: str | None = Field(
        default=None, max_length=512, description="The symbols in short, for the printed table."
    )
    reconnections: Int64 | None = Field(default=None, description="Reconnects since the resource was made.")
    resyncs: Int64 | None = Field(
        default=None, description="Times that an order book was fetched anew since the resource was made."
    )
    messages: Int64 | None = Field(default=None, description="Messages received since the resource was made.")
    records: Int64 | None = Field(default=None, description="Records handed to the sinks since the resource was made.")
    dropped_records: Int64 | None = Field(
        default=None, description="Records that a sink could not take since the resource was made."
    )
    skipped_updates: Int64 | None = Field(
        default=None, description="Order book updates left out while a book was in doubt, since the resource was made."
    )
    unreadable_frames: Int64 | None = Field(
        default=None, description="Messages of the exchange that could not be read since the resource was made."
    )
    gaps: Gaps | None = Field(default=None, description="Holes in the data since the resource was made.")
    streams: Streams | None = Field(default=None, description="How many streams deliver.")
    unhealthy_streams: (
        Annotated[tuple[UnhealthyStream, ...], Kube(list_type="map", list_map_keys=["stream"])] | None
    ) = Field(default=None, max_length=20, description="The first 20 streams that do not deliver.")
    shards: Int32 | None = Field(default=None, description="Number of shards (for the scale subresource).")
    ready_shards: Int32 | None = Field(
        default=None, description="Shards whose pods all run in the wanted version and are ready."
    )
    selector: str | None = Field(
        default=None, max_length=1024, description="Label selector of the pods (for the scale subresource)."
    )
    pods: str | None = Field(default=None, max_length=32, description="Ready and wanted pods, such as 2/2.")
    image: str | None = Field(default=None, max_length=512, description="Image of the collectors.")
    last_message_time: Time | None = Field(default=None, description="When a message last came from the exchange.")
    last_reconnect: LastReconnect | None = Field(default=None, description="The newest reconnect.")
    shard_statuses: Annotated[tuple[ShardStatus, ...], Kube(list_type="map", list_map_keys=["shard"])] | None = Field(
        default=None, max_length=64, description="Counters per shard, by which the totals go on after restarts."
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
"""The status that the API server gives a new resource: without it, helm --wait and kstatus call one ready that no
operator ever saw."""
