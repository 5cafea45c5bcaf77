"""Draws what `bench elastic` measured of pauses, the newest record in bench/results: docs/pictures/pauses.svg."""

import argparse
import glob
import json
import math
import os
import sys
from html import escape

HOME = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
EVENTS = (("grow", "1 to 4 workers"), ("shrink", "4 to 1 workers"), ("kill", "a worker is killed"))
COLOURS = ("#2f6f5e", "#c9822b", "#8a5a9e")
LEFT, WIDTH, TOP, BAR, GAP = 190, 560, 74, 20, 26
DECADES = (10, 100, 1000, 10_000, 100_000)


def place(milliseconds):
    """Along a logarithmic scale from 10 ms to 100 s."""
    share = math.log10(max(milliseconds, DECADES[0]) / DECADES[0]) / math.log10(DECADES[-1] / DECADES[0])
    return LEFT + WIDTH * min(1.0, share)


def spoken(milliseconds):
    return f"{milliseconds:.0f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.1f} s"


def sides(record):
    """(name, figures by event) of the model that the peers train, ours first."""
    peers = {name: each for name, each in record["peers"].items() if "model" in each}
    models = {each["model"] for each in peers.values()}
    if len(models) != 1:
        sys.exit("the record has no peers that train one model: run ./concertina bench elastic --only pause")
    (model,) = models
    ours = [("Concertina", record["figures"]["pause"][model])]
    return model, ours + [(name.split(",")[0], each) for name, each in peers.items()]


def picture(record):
    """The SVG."""
    model, compared = sides(record)
    lines, y = [], TOP
    for event, named in EVENTS:
        lines.append(f'<text x="{LEFT - 14}" y="{y + 1.5 * BAR + 5}" font-size="14" text-anchor="end" fill="#3b3833">{escape(named)}</text>')
        for (name, figures), colour in zip(compared, COLOURS):
            median, greatest = figures[event]["p50"], figures[event]["greatest"]
            end = place(median)
            lines.append(f'<rect x="{LEFT}" y="{y}" width="{end - LEFT:.1f}" height="{BAR - 4}" rx="3" fill="{colour}"/>')
            lines.append(f'<path d="M{end:.1f} {y + BAR / 2 - 2} H{place(greatest):.1f}" stroke="{colour}" stroke-width="2"/>')
            lines.append(f'<text x="{place(greatest) + 8:.1f}" y="{y + BAR - 7}" font-size="12" fill="#3b3833">{spoken(median)}</text>')
            y += BAR
        y += GAP
    grid = [
        f'<path d="M{place(each):.1f} {TOP - 8} V{y - GAP + 8}" stroke="#ddd8cc"/>'
        f'<text x="{place(each):.1f}" y="{y - GAP + 26}" font-size="12" text-anchor="middle" fill="#6d685e">{spoken(each).replace(".0", "")}</text>'
        for each in DECADES
    ]
    legend = [
        f'<rect x="{LEFT + 170 * place_}" y="40" width="12" height="12" rx="3" fill="{colour}"/>'
        f'<text x="{LEFT + 170 * place_ + 18}" y="51" font-size="13" fill="#3b3833">{escape(name)}</text>'
        for place_, ((name, _), colour) in enumerate(zip(compared, COLOURS))
    ]
    title = f"How long training stands still (model: {model}; median and longest, logarithmic)"
    described = "; ".join(f"{named}: " + ", ".join(f"{name} {spoken(each[event]['p50'])}" for name, each in compared) for event, named in EVENTS)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 860 {y + 20}" font-family="ui-sans-serif, system-ui, Helvetica, Arial, sans-serif" role="img" aria-labelledby="title description">',
            f'<title id="title">{escape(title)}</title>',
            f'<desc id="description">{escape(described)}</desc>',
            f'<rect width="860" height="{y + 20}" rx="12" fill="#fbfaf7"/>',
            f'<text x="24" y="28" font-size="15" font-weight="600" fill="#26241f">{escape(title)}</text>',
            *grid,
            *legend,
            *lines,
            "</svg>\n",
        ]
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", help="a record of bench elastic with pauses")
    parser.add_argument("--to", default=os.path.join(HOME, "docs", "pictures", "pauses.svg"))
    arguments = parser.parse_args()
    found = [arguments.record] if arguments.record else glob.glob(os.path.join(HOME, "bench", "results", "elastic*pause*.json"))
    if not found:
        sys.exit("bench/results has no record of pauses: run ./concertina bench elastic")
    with open(max(found, key=os.path.getmtime), encoding="utf-8") as file:
        drawn = picture(json.load(file))
    with open(arguments.to, "w", encoding="utf-8") as file:
        file.write(drawn)
    print(f"drawn: {arguments.to}")


if __name__ == "__main__":
    main()
