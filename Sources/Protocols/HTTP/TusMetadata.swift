internal import MartletPrimitives

/// `Upload-Metadata` of tus 1.0: pairs of a key and a value in base64, with commas between.
package enum TusMetadata {
  package static let maximumBytes = 4096
  package static let maximumPairs = 32

  /// Values that are UTF-8, by key; a key without a value has an empty one.
  /// - Throws: 400.
  package static func parse(_ text: String) throws(HTTPError) -> [String: String] {
    guard text.utf8.count <= maximumBytes else { throw HTTPError(.badRequest, "Upload-Metadata exceeds \(maximumBytes) bytes") }
    var result: [String: String] = [:]
    guard !text.trimmed.isEmpty else { return result }
    let pairs = text.split(separator: ",", omittingEmptySubsequences: false)
    guard pairs.count <= maximumPairs else { throw HTTPError(.badRequest, "Upload-Metadata has more than \(maximumPairs) pairs") }
    for pair in pairs {
      let words = pair.split(separator: " ")
      guard words.count == 1 || words.count == 2, words[0].utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }), result[String(words[0])] == nil,
        let bytes = words.count == 2 ? Base64.decode(words[1]) : []
      else { throw HTTPError(.badRequest, "Upload-Metadata is malformed; expected KEY BASE64, KEY BASE64") }
      result[String(words[0])] = String(validating: bytes, as: UTF8.self) ?? ""
    }
    return result
  }
}
