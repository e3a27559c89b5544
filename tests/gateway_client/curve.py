"""Edwards25519 in plain integers (RFC 8032 section 5.1): an independent source of points of small order."""

from __future__ import annotations

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
Point = tuple[int, int]
NEUTRAL: Point = (0, 1)


def add(a: Point, b: Point) -> Point:
    """Add two points in affine coordinates; the formula is complete."""
    k = D * a[0] * b[0] * a[1] * b[1] % P
    x = (a[0] * b[1] + a[1] * b[0]) * pow(1 + k, P - 2, P)
    y = (a[1] * b[1] + a[0] * b[0]) * pow(1 - k, P - 2, P)
    return x % P, y % P


def times(scalar: int, point: Point) -> Point:
    """Multiply by doubling."""
    out = NEUTRAL
    while scalar:
        if scalar & 1:
            out = add(out, point)
        point = add(point, point)
        scalar >>= 1
    return out


def point_of(y: int) -> Point | None:
    """Return a point with this y, or None when there is none on the curve."""
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    root = pow(square, (P + 3) // 8, P)
    if root * root % P != square:
        root = root * pow(2, (P - 1) // 4, P) % P
    return (root, y) if root * root % P == square else None


def small_order_encodings() -> set[bytes]:
    """Return each 32-byte text that decodes to a point whose order divides 8, canonical or not, either sign bit."""
    torsion = {NEUTRAL}
    for y in range(2, 40):
        point = point_of(y)
        if point is not None:
            generator = times(L, point)
            torsion |= {times(k, generator) for k in range(8)}
    out = set()
    for _, y in torsion:
        for spelled in (y, y + P):
            for sign in (0, 1):
                if spelled < 2**255:
                    out.add((spelled | sign << 255).to_bytes(32, "little"))
    return out
