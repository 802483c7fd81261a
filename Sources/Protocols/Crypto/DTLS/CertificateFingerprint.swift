/// The digest of a certificate, by which signaling tells whom to trust (RFC 8122 §5). Its text is SDP's.
package struct CertificateFingerprint: Hashable, Sendable {
  package let algorithm: Digest.Algorithm
  package let digest: [UInt8]

  package init(_ algorithm: Digest.Algorithm, _ digest: [UInt8]) {
    self.algorithm = algorithm
    self.digest = digest
  }

  /// - Parameter name: a hash function as SDP names it, in any case.
  /// - Returns: `nil` for one that must not be used (MD5, MD2) or is not known, and for a digest of another length.
  package init?(algorithm name: String, digest: [UInt8]) {
    let algorithm = Self.names.first { $0.name == name.lowercased() }?.algorithm
    guard let algorithm, digest.count == algorithm.byteCount else { return nil }
    self.init(algorithm, digest)
  }

  /// RFC 8122 §5 allows SHA-1 for old peers; today's offer SHA-256.
  private static let names: [(name: String, algorithm: Digest.Algorithm)] = [
    ("sha-256", .sha256), ("sha-384", .sha384), ("sha-512", .sha512), ("sha-1", .sha1),
  ]

  /// `sha-256`.
  package var algorithmName: String { Self.names.first { $0.algorithm == algorithm }?.name ?? "" }
}
