internal import MartletPrimitives

/// `fingerprint` (RFC 8122 §5): the hash of the certificate that the peer will show.
package struct Fingerprint: Hashable, Sendable {
  /// In lower case, such as `sha-256`.
  package var algorithm: String
  package var bytes: [UInt8]

  package init(algorithm: String, bytes: [UInt8]) {
    self.algorithm = algorithm.lowercased()
    self.bytes = bytes
  }

  init(_ reader: inout FieldReader) throws(SDPError) {
    algorithm = try reader.token("a hash function").lowercased()
    try reader.space(before: "a fingerprint")
    let length = Fingerprint.lengths[algorithm]
    let expected = length.map { "\($0) hexadecimal bytes between colons" } ?? "hexadecimal bytes between colons"
    bytes = try reader.choice(expected) { text in
      guard let bytes = Fingerprint.decode(text), length == nil || bytes.count == length else { return nil }
      return bytes
    }
  }

  /// `nil` unless two digits stand between any two colons.
  private static func decode(_ text: String) -> [UInt8]? {
    var bytes: [UInt8] = []
    for part in text.split(separator: ":", omittingEmptySubsequences: false) {
      guard part.utf8.count == 2, let byte = Hex.decode(part)?.first else { return nil }
      bytes.append(byte)
    }
    return bytes
  }

  /// Bytes of the hash functions of RFC 8122 §5; others are taken at any length.
  private static let lengths = ["md5": 16, "sha-1": 20, "sha-224": 28, "sha-256": 32, "sha-384": 48, "sha-512": 64]
}

extension Fingerprint: CustomStringConvertible {
  package var description: String { "\(algorithm) \(bytes.map { Hex.encode([$0]).uppercased() }.joined(separator: ":"))" }
}
