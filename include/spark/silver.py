"""The silver job: bring a domain's table up to all that bronze holds.

    spark-submit include/spark/silver.py profiles [--along merchants ...] [--days 2026-01-01 2026-01-31]

A run reads bronze from the position in the table's newest snapshot to bronze's end, classifies every record, stores the
rejected ones in quarantine and commits the valid ones (of reference data the newest of each id) together with the new
position in one snapshot. So it may die anywhere and be run again, and running it twice changes nothing. Its last line
of output is its report, as JSON.

Of transactions the fraud stream has decided which are refused: silver goes as far as the stream has read, leaves out
what waits in quarantine, and takes that in when it has got its verdict after all.

However many records are rejected, the good ones land. Where they are too many, an alarm is stored with them
(``include.quarantine.alarms``).

Once the session is there, another domain costs little. So a job takes ``along`` what others have waiting, for which
they would start one of their own right after it: one snapshot at most, tried once. What that does not settle, and
every error, is left to the other domain's own run.

Of a domain of events ``--days`` are made anew from bronze first (``include.spark.silver_rebuild``).

Records of quarantine that somebody asked to drive through again are classified with the new ones. A record that waits
in quarantine and keeps its contract in this run is merged like any other and marked as done there;
``include.quarantine.landing`` says how that happens exactly once.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import date
from importlib import import_module

from include.domains import BATCH_DOMAINS, DOMAINS
from include.settings import Settings
from include.spark.session import spark_session

log = logging.getLogger("paylake.silver")

ALONG_SECONDS = 60
"""A run that took so long takes no other domain along."""


def main(arguments: Iterable[str] | None = None) -> None:
    """The job's command line."""
    parser = argparse.ArgumentParser(description="Bring silver up to all that bronze holds.")
    parser.add_argument("domain", choices=sorted(DOMAINS))
    parser.add_argument("--along", nargs="*", default=[], choices=sorted(BATCH_DOMAINS), help="others that wait")
    parser.add_argument("--days", nargs=2, type=date.fromisoformat, metavar="DAY", help="first and last to make anew")
    chosen = parser.parse_args(None if arguments is None else list(arguments))
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s")
    log.setLevel(logging.INFO)
    settings = Settings.from_environment()
    # PySpark loads it in its first call to the JVM, which then would wait for what is loaded beside.
    import_module("pandas")
    # In Python's turns of 5 ms each of a hundred calls to the JVM would wait for what is loaded beside.
    sys.setswitchinterval(0.0001)
    with ThreadPoolExecutor(1) as pool:
        # The JVM needs more than a second for it. Meanwhile Python loads the rest, and looks what there is to do.
        session = pool.submit(spark_session, f"silver {chosen.domain}", settings, source=False)
        from include.quality.limit import RejectedLimit
        from include.spark.silver_run import run, take_along

        if chosen.days:
            from include.spark.silver_rebuild import rebuild_days

            rebuild_days(DOMAINS[chosen.domain], settings, session.result(), *chosen.days)
        limit = RejectedLimit.from_environment()
        report = run(DOMAINS[chosen.domain], settings, limit, session.result)
        spark = session.result()
    # Whoever waits for this domain waits for the others, too: not after a run that was long already.
    for name in chosen.along if report.seconds < ALONG_SECONDS else []:
        try:
            done = take_along(DOMAINS[name], settings, limit, spark)
        except Exception:
            # Not lost: what is published is whole, and the domain's own run finds what is left, and the error.
            log.exception("%s: left to its own run", name)
        else:
            log.info("%s: taken along: %s", name, done)
    print(json.dumps(asdict(report)), flush=True)
    # Python would look through all that is loaded for garbage once more, for half a second, and the JVM wait for it.
    gc.freeze()


if __name__ == "__main__":
    main()
