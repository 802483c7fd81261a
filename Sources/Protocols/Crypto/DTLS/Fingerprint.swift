internal import COpenSSL
internal import MartletPrimitives

/// The digest of a certificate, as SDP tells it (RFC 8122 §5): `sha-256 12:34:…`.
package struct Fingerprint: Hashable, Sendable {
  package let algorithm: Digest.Algorithm
  package let digest: [UInt8]

  package init(_ algorithm: Digest.Algorithm, _ digest: [UInt8]) {
    self.algorithm = algorithm
    self.digest = digest
  }

  /// - Returns: `nil` for an algorithm that must not be used (MD5, MD2) or is not known, and for a value that is cut or no hexadecimal.
  package init?(algorithm name: String, value: String) {
    guard let algorithm = Self.names.first(where: { $0.name == name.lowercased() })?.algorithm else { return nil }
    let pairs = value.split(separator: ":", omittingEmptySubsequences: false)
    guard pairs.count == algorithm.byteCount else { return nil }
    var digest: [UInt8] = []
    for pair in pairs {
      guard pair.utf8.count == 2, pair.utf8.first != UInt8(ascii: "+"), let byte = UInt8(pair, radix: 16) else { return nil }
      digest.append(byte)
    }
    self.init(algorithm, digest)
  }

  /// RFC 8122 §5 allows SHA-1 for old peers; today's offer SHA-256.
  private static let names: [(name: String, algorithm: Digest.Algorithm)] = [
    ("sha-256", .sha256), ("sha-384", .sha384), ("sha-512", .sha512), ("sha-1", .sha1),
  ]

  /// `sha-256`.
  package var algorithmName: String { Self.names.first { $0.algorithm == algorithm }?.name ?? "" }

  /// `12:34:AB:…`.
  package var value: String { Hex.encode(digest).uppercased().enumerated().map { $0 > 0 && $0 % 2 == 0 ? ":\($1)" : "\($1)" }.joined() }
}
