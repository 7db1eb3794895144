"""Elementary functions to twice the precision of a double by mpmath, for test/base/elementary.test.ts:
`python3 test/vectors/elementary.py > test/vectors/elementary.json`. A row: x, the double nearest to f(x), and f(x) minus that."""
import json
import random
import mpmath as mp

mp.mp.prec = 200
random.seed(7)

def between(low, high, count): return [random.uniform(low, high) for _ in range(count)]
def scales(low, high, count): return [10 ** random.uniform(low, high) for _ in range(count)]

# Ranges, the ends of what is finite, and the neighbours of where a function changes its method.
FUNCTIONS = {
    'exp': (mp.exp, between(-745, 709.7, 60) + between(-1, 1, 60) + between(-40, 0, 40) + [
        709.782712893384, -708.5, -744.9, -745.1, 0.34657359027997264, 0.3465735902799727, -0.34657359027997264, 1e-300, -1e-17]),
    'log': (mp.log, between(0, 1, 50) + between(0.5, 2, 50) + scales(-320, 308, 50) + [1 - x for x in scales(-15, -2, 20)] + [
        5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 1.414213562373095, 1.4142135623730951, 0.7071067811865475, 0.7071067811865476]),
    'log1p': (lambda x: mp.log(1 + x), between(-1, 3, 50) + between(-0.5, 0.5, 50) + scales(-20, 20, 50) + [-x for x in scales(-18, -1, 20)] + [
        1, 0.9999999999999999, 1.0000000000000002, 1e300]),
    'cosPi': (mp.cospi, between(-2, 2, 100) + between(-1000, 1000, 30) + [0.5 + x for x in scales(-15, -1, 20)] + [
        0.25, 0.75, -0.25, 1.25, 0.24999999999999997, 1e15 + 0.25]),
    'sinPi': (mp.sinpi, between(-2, 2, 100) + between(-1000, 1000, 30) + scales(-17, -1, 20) + [
        0.25, 0.75, -0.25, 1.25, 0.24999999999999997, 1e15 + 0.25]),
    'acos': (mp.acos, between(-1, 1, 150) + [1 - x for x in scales(-15, -1, 20)] + [-1 + x for x in scales(-15, -1, 20)] + [
        0.5, 0.5000000000000001, -0.5, -0.5000000000000001, 1e-9, 0.9999999999999999]),
    'tanh': (mp.tanh, between(-1, 1, 80) + between(0.6, 1.2, 60) + between(-22, 22, 40) + scales(-300, -1, 20) + [
        0.8, 0.7999999999999999, -0.8, 19.9, 20.1]),
}

print(json.dumps({
    name: [[x, float(value), float(value - mp.mpf(float(value)))] for x, value in ((x, f(mp.mpf(x))) for x in inputs)]
    for name, (f, inputs) in FUNCTIONS.items()
}).replace(']], ', ']],\n'))
