"""`vlmloom serve-rewards`: verifiers, learned rewards and judges over HTTP."""

from __future__ import annotations

import argparse
from typing import Any

from vlmloom.pipelines.arguments import add_limits, add_verifiers, read_limits, verb_parser

SUMMARY = "serve verifiers, learned rewards and judges over HTTP"

EPILOG = """examples:
  vlmloom serve-rewards --suite nano --workers 4
      the tasks of a suite, and every verifier that needs no argument
  vlmloom serve-rewards --verifier learned=reward/run,folder=runs/reward_model
  vlmloom serve-rewards --verifier 'judge={use: reward/rule_then_judge, rule: {use: reward/exact},
      judge: {use: reward/judge_endpoint, url: "http://localhost:8000/v1", model: qwen}}'
  vlmloom serve-rewards --suite nano --seconds 10 --limit reward/code=60

  curl -s localhost:8711/score -d '{"task": "count", "split": "test", "index": 0, "responses": ["3", "4"]}'
  curl -s localhost:8711/score -d '{"verifier": "reward/exact", "question": "2 + 2?", "answer": "4",
      "responses": ["4", "5"], "source": "run 7", "group": "item 12"}'
  curl -s localhost:8711/metrics

POST /score gives {"rewards": [{value, parts, reason, error}, ...]} in the order of the answers; a value is
null where judging failed, and `error` says why. A line that is wrong is a 400, a full queue a 429 with
Retry-After. The service has no passwords: it belongs on a machine's own address or behind a proxy.
"""


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """The verb's options."""
    parser = verb_parser(subparsers, "serve-rewards", SUMMARY, EPILOG)
    parser.add_argument(
        "--suite",
        metavar="NAME|FILE|RUN",
        help="of configs/suites, a YAML, or a run's; for lines that name a task",
    )
    add_verifiers(parser)
    parser.add_argument("--host", default="127.0.0.1", help="address (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=8711, help="port; 0 takes a free one (default: 8711)")
    parser.add_argument("--workers", type=int, default=2, help="processes for rules (default: 2)")
    parser.add_argument("--queue", type=int, default=256, help="lines under way at most (default: 256)")
    parser.add_argument("--judges", type=int, default=16, help="lines that wait for judges (default: 16)")
    add_limits(parser)
    parser.add_argument("--drain", type=int, default=60, help="seconds to finish when stopped (default: 60)")
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM; what is queued by then is answered."""
    import socket
    import sys

    from vlmloom.pipelines.scoring.scorer import declared
    from vlmloom.pipelines.suites import open_suite
    from vlmloom.registry.errors import UserError

    try:
        import uvicorn

        from vlmloom.pipelines.serve.app import Service, make_app
    except ImportError as error:
        raise UserError(
            f"serve-rewards: {error.name} is not installed; pip install 'vlmloom[serve]' would be right"
        ) from None
    for name, least in (("workers", 1), ("queue", 1), ("judges", 1), ("drain", 0), ("port", 0)):
        if getattr(args, name) < least:
            raise UserError(
                f"serve-rewards: --{name} is {getattr(args, name)}; {least} or more would be right"
            )
    if not args.host:
        raise UserError("serve-rewards: --host is empty; 127.0.0.1, or 0.0.0.0 for all, would be right")
    # With its protocol, so that asyncio switches Nagle's algorithm off: it would cost 40 ms a reply.
    held = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        held.bind((args.host, args.port))
        # Whoever comes before all is ready waits, and is not refused.
        held.listen(2048)
    except OverflowError:
        raise UserError(f"serve-rewards: --port {args.port}: 0 to 65535 would be right") from None
    except OSError as error:
        raise UserError(f"serve-rewards: {args.host}:{args.port}: {error.strerror}") from None
    suite = None if args.suite is None else open_suite(args.suite)[0]
    verifiers = declared("serve-rewards", args.verifier)
    limits = read_limits("serve-rewards", args, suite, verifiers)
    service = Service(
        suite=args.suite,
        built=suite,
        verifiers=verifiers,
        workers=args.workers,
        capacity=args.queue,
        limits=limits,
        judges=args.judges,
    )
    host, port = held.getsockname()[:2]
    print(f"serving rewards on http://{host}:{port}", file=sys.stderr, flush=True)
    config = uvicorn.Config(
        make_app(service), log_level="warning", timeout_graceful_shutdown=args.drain, backlog=2048
    )
    uvicorn.Server(config).run(sockets=[held])
    return 0
