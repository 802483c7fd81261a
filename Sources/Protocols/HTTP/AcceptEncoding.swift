/// Content coding negotiation (RFC 9110 §12.5.3).
package enum AcceptEncoding {
  /// The coding of `available` (in the server's order of preference) that the client rates best; `nil` for identity.
  /// Codings that tie with identity win, since compression was asked for by naming them.
  package static func choose(_ fields: HTTPFields, available: [String] = ["gzip"]) -> String? {
    // §12.5.3: without the field any coding is allowed, but who does not ask may well not understand.
    guard fields.contains("Accept-Encoding") else { return nil }
    var ratings: [(coding: String, quality: Int)] = []
    for element in fields.list("Accept-Encoding").prefix(32) {
      let parts = element.split(separator: ";").map(\.trimmed)
      guard let coding = parts.first?.lowercased() else { continue }
      let weight = parts.dropFirst().first { $0.lowercased().hasPrefix("q=") }
      guard let quality = weight.map({ Self.quality($0.dropFirst(2)) }) ?? 1000 else { continue }
      ratings.append((coding == "x-gzip" ? "gzip" : coding, quality))
    }
    func rating(_ coding: String) -> Int? { ratings.first { $0.coding == coding }?.quality }
    let any = rating("*")
    var best: (coding: String, quality: Int)?
    for coding in available {
      let quality = rating(coding) ?? any ?? 0
      if quality > best?.quality ?? 0 { best = (coding, quality) }
    }
    guard let best, best.quality >= rating("identity") ?? 0 else { return nil }
    return best.coding
  }

  /// `0.5` as thousandths (§12.4.2); `nil` when it is no weight.
  static func quality(_ text: some StringProtocol) -> Int? {
    let digits = Array(text.utf8)
    guard let first = digits.first, first == 0x30 || first == 0x31, digits.count <= 5 else { return nil }
    guard digits.count > 1 else { return Int(first - 0x30) * 1000 }
    let fraction = digits.dropFirst(2)
    guard digits[1] == UInt8(ascii: "."), fraction.allSatisfy(\.isDigit) else { return nil }
    var value = Int(first - 0x30) * 1000
    var unit = 100
    for digit in fraction {
      value += Int(digit - 0x30) * unit
      unit /= 10
    }
    return value <= 1000 ? value : nil
  }
}
