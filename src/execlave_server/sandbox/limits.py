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
