"""What the sandbox bounds: first the real intake's documented limits, then its own."""

BODY_BYTES_MAX = 5_000_000  # uncompressed; the intake answers 413 above it, and the official agents batch under it
WIRE_BYTES_MAX = (
    BODY_BYTES_MAX + 65_536
)  # compressing noise makes it a little longer; gzip and zstd stay far below this
LOGS_PER_REQUEST_MAX = 1_000  # documented array limit; the status above it is not, 413 makes a sender split
LOG_BYTES_MAX = 1_000_000  # the intake accepts a longer log and truncates it
LOG_AGE_US_MAX = 18 * 3_600 * 1_000_000  # the intake drops older logs after its 202, without a word

GZIP_MEMBERS_MAX = LOGS_PER_REQUEST_MAX  # a sender may end one after each log; empty ones cost work and carry nothing
ZSTD_WINDOW_BYTES_MAX = 8 * 1_048_576  # what RFC 9659 allows zstd on the web; bounds a decoder's memory

PAGE_LOGS_DEFAULT = 1_000  # one full request
PAGE_LOGS_MAX = 10_000  # a page is built in memory
PAGE_BYTES_MAX = 16_000_000  # the same, for long logs; a page ends early rather than pass it

KEYS_MAX = 1_000  # far above what one fleet rotates through
KEY_CHARACTERS_MAX = 256  # Datadog's are 32 to 40
KEYS_SEEN_MAX = 10_000  # stop counting there: a caller that invents keys must not grow memory

FAULT_RULES_MAX = 1_000  # more is a mistake, not a scenario
FAULT_TEXT_CHARS_MAX = 256  # of a body, by which a rule chooses requests
FAULT_DELAY_MS_MAX = 600_000  # ten minutes outlast every sender's timeout

SHUTDOWN_GRACE_S = 0.4  # aiohttp waits it twice for requests in progress, so stopping takes less than a second

SEARCHABLE_LOGS_MIN = 100_000  # the newest so many stay searchable; a walk over all of them stays near a second
PREPARE_SLICE_LOGS = 200  # prepared or read at once, then other requests have their turn: some 10 ms
SEARCH_LOGS_DEFAULT = 10  # Datadog's own page
SEARCH_LOGS_MAX = 1_000  # the same
GROUPS_DEFAULT = 10  # of one facet, as in the real aggregate
GROUPS_MAX = 10_000  # the same, documented
GROUP_FACETS_MAX = 4  # dimensions of one aggregate; monitors have the same documented bound
TIMESERIES_POINTS_MAX = 1_500  # of one series: more is no picture, and memory
INDEXING_DELAY_MS_MAX = 600_000  # ten minutes outlast every test

PIPELINES_MAX = 100  # the sandbox's own bound, far above one product's
PROCESSORS_MAX = 100  # the same; Datadog advises 20
MONITORS_MAX = 1_000  # Datadog's default for log monitors
DASHBOARDS_MAX = 1_000  # held in memory
LOG_METRICS_MAX = 100  # Datadog's default
RULES_MAX = 1_000  # security rules, held in memory
STORED_BODY_BYTES_MAX = 1_000_000  # of one pipeline, monitor, dashboard or rule
METRIC_SERIES_MAX = 10_000  # of one log metric; more groups than that are counted, not kept
METRIC_POINTS_MAX = 1_440  # a day of minutes for each series
METRIC_POINTS_IN_ALL_MAX = 200_000  # of one log metric, whatever its groups

HISTORY_EVENTS_MAX = 1_000  # of one monitor: transitions and notifications, newest kept
VALUES_SHOWN_MAX = 240  # evaluations kept for the drawing: four hours
CLOCK_STEP_US_MAX = 72 * 3_600 * 1_000_000  # one move of the clock, evaluated minute by minute
NOTIFY_TIMEOUT_S = 5.0  # a local webhook answers at once or not at all
NOTIFICATION_CHARS_MAX = 20_000  # of its text, which is read by people
NOTIFICATIONS_WAITING_MAX = 1_000  # posts under way; more are recorded and not posted

APPLICATION_KEY_HEADER = "DD-APPLICATION-KEY"
