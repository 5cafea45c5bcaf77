"""Searches with Optuna, run by the Python that has it.

Reads one line of JSON for each search (landscape, sampler, seed, trials) and answers with one: the losses in their order, and the
seconds of the processor that each suggestion took. A line with "cost" (a sampler, trials, questions) is answered with seconds alone.
"""

import json
import os
import sys
import time
import warnings
from random import Random

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

import optuna
import torch
from measured.landscapes import BY_NAME
from optuna.distributions import FloatDistribution


def sampler_named(name, seed):
    if name == "tpe":
        return optuna.samplers.TPESampler(seed=seed)
    if name == "tpe-univariate":
        return optuna.samplers.TPESampler(seed=seed, multivariate=False)
    if name == "tpe-multivariate":
        return optuna.samplers.TPESampler(seed=seed, multivariate=True)
    return optuna.samplers.GPSampler(seed=seed)


def suggest(trial, parameters):
    point = {}
    for kind, name, *rest in parameters:
        condition = rest[2] if len(rest) > 2 else rest[1] if kind == "choice" and len(rest) > 1 else None
        if condition and point.get(condition[0]) != condition[1]:
            continue
        if kind == "real":
            point[name] = trial.suggest_float(name, rest[0], rest[1])
        elif kind == "log":
            point[name] = trial.suggest_float(name, rest[0], rest[1], log=True)
        elif kind == "whole":
            point[name] = trial.suggest_int(name, rest[0], rest[1])
        else:
            point[name] = trial.suggest_categorical(name, rest[0])
    return point


def search(landscape, sampler, seed, trials):
    study = optuna.create_study(sampler=sampler_named(sampler, seed))
    losses, seconds = [], []
    for _ in range(trials):
        started = time.process_time()
        trial = study.ask()
        point = suggest(trial, landscape.parameters)
        seconds.append(time.process_time() - started)
        losses.append(landscape.loss(point))
        study.tell(trial, losses[-1])
    return {"losses": losses, "seconds": seconds}


def cost(sampler, trials, questions):
    """Seconds of the processor of some suggestions after random trials on Hartmann's function, each followed by a trial that ends."""
    landscape, random = BY_NAME["hartmann-6"], Random(1)
    ranges = {name: FloatDistribution(low, high) for _, name, low, high in landscape.parameters}
    study = optuna.create_study(sampler=sampler_named(sampler, 1))
    for _ in range(trials):
        point = {name: random.random() for name in ranges}
        study.add_trial(optuna.create_trial(params=point, distributions=ranges, value=landscape.loss(point)))
    seconds = []
    for _ in range(questions):
        started = time.process_time()
        trial = study.ask()
        point = suggest(trial, landscape.parameters)
        seconds.append(time.process_time() - started)
        study.tell(trial, landscape.loss(point))
    return seconds


def main():
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    for line in sys.stdin:
        wanted = json.loads(line)
        if "cost" in wanted:
            print(json.dumps(cost(wanted["cost"], wanted["trials"], wanted["questions"])), flush=True)
            continue
        print(json.dumps(search(BY_NAME[wanted["landscape"]], wanted["sampler"], wanted["seed"], wanted["trials"])), flush=True)


if __name__ == "__main__":
    main()
