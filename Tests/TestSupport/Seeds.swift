import Glibc

/// The seeds of a simulation: `count` of them, as in each run of the tests, or as many times more as `MARTLET_SEEDS` is more than
/// twenty (`make simulate`). Those of a shorter run are the first of a longer one.
public func seeds(_ count: UInt64) -> Range<UInt64> { 0..<max(count, count * wantedSeeds / 20) }

private let wantedSeeds = getenv("MARTLET_SEEDS").flatMap { UInt64(String(cString: $0)) } ?? 20
