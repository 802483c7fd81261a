package import MartletCrypto
internal import MartletPrimitives

/// Integrity digests in fields: `Content-Digest` and `Repr-Digest` (RFC 9530), and the `Upload-Checksum` of tus.
package struct DigestField: Equatable, Sendable {
  /// One of those that RFC 9530 §5 calls active, or that tus clients use.
  package let algorithm: Digest.Algorithm
  package let value: [UInt8]

  package init(_ algorithm: Digest.Algorithm, _ value: [UInt8]) {
    self.algorithm = algorithm
    self.value = value
  }

  package static func == (a: DigestField, b: DigestField) -> Bool { a.algorithm == b.algorithm && a.value == b.value }

  /// The strongest digest of such a field; `nil` when it is absent or names only algorithms that are not known, which
  /// RFC 9530 §2 has a recipient ignore.
  /// - Throws: 400 for what is no dictionary of byte sequences (RFC 9651), or a digest of the wrong length.
  package static func parse(_ name: String, in fields: HTTPFields) throws(HTTPError) -> DigestField? {
    var best: DigestField?
    for member in fields.list(name) {
      guard let equals = member.firstIndex(of: "=") else { throw malformed(name) }
      let key = member[..<equals].trimmed.lowercased()
      let value = member[member.index(after: equals)...].trimmed
      guard value.utf8.count >= 2, value.hasPrefix(":"), value.hasSuffix(":"), let bytes = Base64.decode(value.dropFirst().dropLast())
      else {
        throw malformed(name)
      }
      guard let algorithm: Digest.Algorithm = key == "sha-256" ? .sha256 : key == "sha-512" ? .sha512 : nil else { continue }
      guard bytes.count == algorithm.byteCount else { throw malformed(name) }
      if best == nil || algorithm == .sha512 { best = DigestField(algorithm, bytes) }
    }
    return best
  }

  private static func malformed(_ name: String) -> HTTPError {
    HTTPError(.badRequest, "\(name) is malformed; expected sha-256=:BASE64: or sha-512=:BASE64:")
  }

  /// The algorithms of `Tus-Checksum-Algorithm`.
  package static let tusAlgorithms: [(name: String, algorithm: Digest.Algorithm)] = [
    ("sha1", .sha1), ("sha256", .sha256), ("sha512", .sha512), ("md5", .md5),
  ]

  /// `sha1 BASE64` (tus 1.0, checksum).
  package static func parse(tus text: String) throws(HTTPError) -> DigestField {
    let words = text.split(separator: " ")
    let names = tusAlgorithms.map(\.name).joined(separator: ", ")
    guard words.count == 2, let algorithm = tusAlgorithms.first(where: { $0.name == words[0] })?.algorithm else {
      throw HTTPError(.badRequest, "Upload-Checksum is an algorithm (\(names)) and a digest in base64")
    }
    guard let bytes = Base64.decode(words[1]), bytes.count == algorithm.byteCount else {
      throw HTTPError(.badRequest, "the digest of Upload-Checksum is no \(words[0]) in base64")
    }
    return DigestField(algorithm, bytes)
  }

  /// `sha-256=:BASE64:`
  package var serialized: String { "\(algorithm == .sha512 ? "sha-512" : "sha-256")=:\(Base64.encode(value)):" }
}
