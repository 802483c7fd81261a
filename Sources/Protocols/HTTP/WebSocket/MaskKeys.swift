internal import MartletCrypto
internal import MartletPrimitives

/// An endless run of masking keys that nobody can predict without the seed (RFC 6455 §10.3): SHA-256 over the seed and
/// a counter, eight keys a digest. The seed is injected, so tests are deterministic. A class, so that servers' machines,
/// which have none, are smaller by it.
internal final class MaskKeys {
  private let seed: [UInt8]
  private var counter: UInt64 = 0
  private var digest: [UInt8] = []
  private var used = 32

  init(seed: [UInt8]) { self.seed = seed }

  /// Never 0, which would be no mask.
  func next() -> UInt32 {
    if used == 32 {
      var writer = ByteWriter(appendingTo: seed)
      writer.u64(counter)
      digest = Digest.hash(.sha256, writer.bytes)
      (counter, used) = (counter &+ 1, 0)
    }
    defer { used += 4 }
    let key = digest[used..<used + 4].reduce(0) { $0 << 8 | UInt32($1) }
    return key == 0 ? 1 : key
  }
}
