"""Reasons in the records about the data: a closed list of words for each record type (docs/gaps.md, docs/records.md).

Records hold them as strings, so that a reader accepts words of a later version. ``detail`` explains one for people.
"""

from enum import StrEnum


class GapReason(StrEnum):
    """Reasons of missing data (``gap``)."""

    IDS_MISSING = "IdsMissing"
    DISCONNECTED = "Disconnected"
    SLOW_READING = "SlowReading"
    RESTARTED = "Restarted"
    POSITION_UNKNOWN = "PositionUnknown"
    NUMBERING_RESTARTED = "NumberingRestarted"
    DROPPED = "Dropped"
    MERGED = "Merged"
    SEQUENCE_GAP = "SequenceGap"
    CHECKSUM_MISMATCH = "ChecksumMismatch"
    CROSSED = "Crossed"
    SILENT = "Silent"
    LEFT_BEHIND = "LeftBehind"
    OUT_OF_RANGE = "OutOfRange"
    UNREADABLE = "Unreadable"


class EndReason(StrEnum):
    """Ends of a gap (``repaired``, ``lost``)."""

    BACKFILLED = "Backfilled"
    LATE_RECORDS = "LateRecords"
    NOTHING_TRADED = "NothingTraded"
    NOTHING_CHANGED = "NothingChanged"
    NOT_IN_HISTORY = "NotInHistory"
    NUMBERING_RESTARTED = "NumberingRestarted"
    POSITION_UNKNOWN = "PositionUnknown"
    REPLACED_BY_SNAPSHOT = "ReplacedBySnapshot"


class ResyncReason(StrEnum):
    """Reasons of a stream that starts again (``resync``)."""

    SEQUENCE_GAP = "SequenceGap"
    CHECKSUM_MISMATCH = "ChecksumMismatch"
    CROSSED = "Crossed"
    SILENT = "Silent"
    OUT_OF_RANGE = "OutOfRange"
    UNREADABLE = "Unreadable"
    NUMBERING_RESTARTED = "NumberingRestarted"
    CANDLE_CHANGED = "CandleChanged"
    CLOCK_SET_BACK = "ClockSetBack"


class ConnectReason(StrEnum):
    """Reasons of an open connection (``connected``)."""

    OPENED = "Opened"


class DisconnectReason(StrEnum):
    """Reasons of an ended connection (``disconnected``)."""

    STOPPED = "Stopped"
    CLOSED_BY_EXCHANGE = "ClosedByExchange"
    SLOW_READING = "SlowReading"
    CONNECTION_LOST = "ConnectionLost"
    REPLACED = "Replaced"
    FAULTY = "Faulty"


class RefusedReason(StrEnum):
    """Reasons of a stream that the exchange does not serve (``refused``)."""

    SYMBOL_NOT_FOUND = "SymbolNotFound"
    CHANNEL_NOT_OFFERED = "ChannelNotOffered"
    PERMISSION_DENIED = "PermissionDenied"
    EXCHANGE_ERROR = "ExchangeError"
    CREDENTIALS_MISSING = "CredentialsMissing"
    CREDENTIALS_REFUSED = "CredentialsRefused"


class DropReason(StrEnum):
    """Reasons of records that a sink did not take (``dropped``)."""

    SINK_SLOW = "SinkSlow"
    SINK_FAILED = "SinkFailed"
