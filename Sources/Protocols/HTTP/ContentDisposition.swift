/// `Content-Disposition`: of the parts of a form (RFC 7578 §4.2), and of downloads (RFC 6266).
package struct ContentDisposition: Equatable, Sendable {
  /// `form-data`, `attachment`; in lower case.
  package var kind: String
  package var name: String?
  package var fileName: String?

  private static let maximumParameters = 16

  /// `nil` for what is malformed.
  package init?(parsing text: String) {
    let bytes = Array(text.utf8)
    var index = 0
    kind = Self.token(bytes, &index).lowercased()
    guard !kind.isEmpty else { return nil }
    var extended: String?
    for _ in 0..<Self.maximumParameters {
      Self.skipSpace(bytes, &index)
      guard index < bytes.count else { break }
      guard bytes[index] == UInt8(ascii: ";") else { return nil }
      index += 1
      Self.skipSpace(bytes, &index)
      // A semicolon at the end is common.
      guard index < bytes.count else { break }
      let key = Self.token(bytes, &index).lowercased()
      Self.skipSpace(bytes, &index)
      guard !key.isEmpty, index < bytes.count, bytes[index] == UInt8(ascii: "=") else { return nil }
      index += 1
      Self.skipSpace(bytes, &index)
      guard let value = Self.value(bytes, &index) else { return nil }
      switch key {
      case "name": name = name ?? value
      case "filename": fileName = fileName ?? value
      // RFC 8187 §3.2: charset, language, percent-encoded text.
      case "filename*":
        let parts = value.split(separator: "'", maxSplits: 2, omittingEmptySubsequences: false)
        if parts.count == 3, parts[0].lowercased() == "utf-8" { extended = PercentCoding.decode(parts[2]) }
      default: break
      }
    }
    guard index >= bytes.count else { return nil }
    if let extended { fileName = extended }
  }

  private static func skipSpace(_ bytes: [UInt8], _ index: inout Int) {
    while index < bytes.count, bytes[index] == .space || bytes[index] == .tab { index += 1 }
  }

  private static func token(_ bytes: [UInt8], _ index: inout Int) -> String {
    let start = index
    while index < bytes.count, CharacterClass.token.contains(bytes[index]) { index += 1 }
    return String(decoding: bytes[start..<index], as: UTF8.self)
  }

  private static func value(_ bytes: [UInt8], _ index: inout Int) -> String? {
    guard index < bytes.count, bytes[index] == UInt8(ascii: "\"") else {
      let text = token(bytes, &index)
      return text.isEmpty ? nil : text
    }
    index += 1
    var value: [UInt8] = []
    while index < bytes.count {
      let byte = bytes[index]
      index += 1
      if byte == UInt8(ascii: "\"") { return String(validating: value, as: UTF8.self) }
      // Browsers write %22 for a quote and leave backslashes alone; others escape with them.
      if byte == UInt8(ascii: "\\"), index < bytes.count, bytes[index] == UInt8(ascii: "\"") || bytes[index] == UInt8(ascii: "\\") {
        value.append(bytes[index])
        index += 1
      } else {
        value.append(byte)
      }
    }
    return nil
  }

  /// `attachment` under this name: for those who know ASCII only, and for everybody (RFC 6266 appendix D).
  package static func attachment(_ fileName: String) -> String {
    let plain = String(
      decoding: fileName.unicodeScalars.map { scalar -> UInt8 in
        let isPlain = scalar.isASCII && scalar.value >= 0x20 && scalar.value != 0x7F && !"\"\\%".unicodeScalars.contains(scalar)
        return isPlain ? UInt8(scalar.value) : UInt8(ascii: "_")
      }, as: UTF8.self)
    guard plain != fileName else { return "attachment; filename=\"\(plain)\"" }
    var encoded = ""
    for byte in fileName.utf8 {
      let isPlain =
        byte < 128 && (UnicodeScalar(byte).properties.isAlphabetic || byte.isDigit || byte == 0x2D || byte == 0x2E || byte == 0x5F)
      encoded += isPlain ? String(UnicodeScalar(byte)) : "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
    }
    return "attachment; filename=\"\(plain)\"; filename*=UTF-8''\(encoded)"
  }
}
