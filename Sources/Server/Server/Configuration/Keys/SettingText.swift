package import MartletPrimitives

/// Durations as people write them: a number and a unit.
package enum TimeSpanText {
  private static let units: [(name: String, nanoseconds: Int64)] = [
    ("d", 86_400_000_000_000), ("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1000),
  ]

  package static func parse(_ text: String) -> TimeSpan? {
    if text == "0" { return .zero }
    let digits = text.prefix { $0.isASCII && ($0.isNumber || $0 == "." || $0 == "_") }
    let unit = text[digits.endIndex...].drop { $0 == " " }
    guard let scale = units.first(where: { $0.name == unit })?.nanoseconds, let number = Double(digits.filter { $0 != "_" }) else {
      return nil
    }
    let nanoseconds = number * Double(scale)
    return nanoseconds < 9e18 ? TimeSpan(nanoseconds: Int64(nanoseconds.rounded())) : nil
  }

  package static func text(_ span: TimeSpan) -> String {
    guard span.nanoseconds != 0 else { return "0" }
    for unit in units where span.nanoseconds % unit.nanoseconds == 0 { return "\(span.nanoseconds / unit.nanoseconds)\(unit.name)" }
    return "\(Double(span.nanoseconds) / 1e6)ms"
  }
}

/// Sizes as people write them.
package enum ByteSize {
  private static let units: [(name: String, bytes: Int)] = [
    ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1000), ("KB", 1000), ("B", 1),
  ]

  package static func parse(_ text: String) -> Int? {
    let digits = text.prefix { $0.isASCII && ($0.isNumber || $0 == "_") }
    let unit = text[digits.endIndex...].drop { $0 == " " }
    guard let number = Int(digits.filter { $0 != "_" }) else { return nil }
    guard !unit.isEmpty else { return number }
    guard let scale = units.first(where: { $0.name == unit })?.bytes else { return nil }
    let (bytes, overflow) = number.multipliedReportingOverflow(by: scale)
    return overflow ? nil : bytes
  }

  package static func text(_ bytes: Int) -> String {
    for unit in units where bytes > 0 && bytes % unit.bytes == 0 && unit.bytes.nonzeroBitCount == 1 && unit.bytes > 1 {
      return "\(bytes / unit.bytes)\(unit.name)"
    }
    return "\(bytes)"
  }
}

/// Text as it stands in a YAML file.
package enum YAMLText {
  /// Quoted where YAML would read it as something else.
  package static func quoted(_ text: String) -> String {
    let isPlain =
      !text.isEmpty
      && text.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
          UInt8(ascii: "/"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
          true
        default: false
        }
      } && !["true", "false", "null", "yes", "no", "on", "off"].contains(text.lowercased())
    if isPlain { return text }
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\t": result += "\\t"
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}
