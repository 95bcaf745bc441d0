#!/usr/bin/env python3
"""Checks files of `tare run --trace` by the Chrome trace format: python3 check_trace.py FILE.json... Prints each fault.

Every event has name, ph, pid and tid, one of phase X ts and dur in us too. Every lane has one name of its own. In the
order of the file, the events of a lane begin at 0 or later and never earlier than the one before; two either nest or do
not overlap. The earliest event of all begins at 0.
"""

import json
import sys

HALF_NS = 0.0005  # in us; the program writes whole nanoseconds


def is_time(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < float("inf")


def event_faults(e):
    if not isinstance(e, dict):
        return [f"no object: {e}"]
    lacking = [key for key in ("name", "ph", "pid", "tid") if key not in e]
    if lacking:
        return [f"without {', '.join(lacking)}: {e}"]
    if not isinstance(e["name"], str) or not e["name"] or not all(type(e[key]) is int for key in ("pid", "tid")):
        return [f"a name or a number of a lane is none: {e}"]
    if e["ph"] == "M":
        named = e["name"] == "thread_name" and isinstance(e.get("args", {}).get("name"), str)
        return [] if named else [f"metadata that name no lane: {e}"]
    if e["ph"] != "X":
        return [f"phase {e['ph']}: {e}"]
    return [f"{key} is no time: {e}" for key in ("ts", "dur") if not is_time(e.get(key))]


def lane_faults(events):
    """Of one lane; `open_ends` are the ends of the events around the next one."""
    faults, open_ends, before = [], [], 0
    for e in events:
        start, end = e["ts"], e["ts"] + e["dur"]
        if start < before:
            faults.append(f"begins before the event above it: {e}")
        while open_ends and open_ends[-1] <= start + HALF_NS:
            open_ends.pop()
        if open_ends and end > open_ends[-1] + HALF_NS:
            faults.append(f"overlaps another of its lane: {e}")
        open_ends.append(end)
        before = start
    return faults


def faults_of(trace):
    events = trace.get("traceEvents") if isinstance(trace, dict) else None
    if not isinstance(events, list):
        return ["no list traceEvents"]
    faults = [fault for e in events for fault in event_faults(e)]
    if faults:
        return faults
    lanes, names = {}, {}
    for e in events:
        lane = (e["pid"], e["tid"])
        if e["ph"] == "M":
            names.setdefault(lane, []).append(e["args"]["name"])
        else:
            lanes.setdefault(lane, []).append(e)
    faults += [f"lane {lane} has the names {names.get(lane, [])}" for lane in lanes if len(names.get(lane, [])) != 1]
    if len({name for group in names.values() for name in group}) < len(names):
        faults.append(f"two lanes of one name: {names}")
    if min((e["ts"] for lane in lanes.values() for e in lane), default=-1) != 0:
        faults.append("no event begins at 0")
    return faults + [fault for lane in lanes.values() for fault in lane_faults(lane)]


def main():
    failed = False
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        try:
            faults = faults_of(json.loads(text, parse_constant=lambda word: sys.exit(f"{path}: {word} is no JSON")))
        except json.JSONDecodeError as e:
            faults = [str(e)]
        for fault in faults:
            print(f"{path}: {fault}")
        failed |= bool(faults)
    sys.exit(failed or len(sys.argv) < 2)


if __name__ == "__main__":
    main()
