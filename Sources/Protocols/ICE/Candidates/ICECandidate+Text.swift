internal import MartletPrimitives

// The value of `a=candidate:` (RFC 8839 §5.1):
//
//     candidate:<foundation> <component> <transport> <priority> <address> <port> typ <type> [raddr <address> rport <port>]
//               [tcptype <type>] {<name> <value>}
extension ICECandidate: CustomStringConvertible {
  /// Without `a=`: what SDP carries behind it, and what browsers take and give.
  package var description: String {
    var text = "candidate:\(foundation) \(component) \(transport == .udp ? "udp" : "tcp") \(priority) \(host) \(port) typ \(type.rawValue)"
    if let related { text += " raddr \(related.host) rport \(related.port)" }
    if let tcpType { text += " tcptype \(tcpType.rawValue)" }
    for element in extensions { text += " \(element.name) \(element.value)" }
    return text
  }

  /// Reads it with or without `a=` and `candidate:` in front.
  package init(_ text: String, limits: ICELimits = ICELimits()) throws(ICEError) {
    guard text.utf8.count <= limits.candidateBytes else { throw .limit("bytes of a candidate", maximum: limits.candidateBytes) }
    var line = Substring(text)
    for prefix in ["a=", "candidate:"] where line.hasPrefix(prefix) { line = line.dropFirst(prefix.count) }
    while let last = line.utf8.last, [10, 13, 32].contains(last) { line = line.dropLast() }
    var fields = Fields(line)
    let foundation = String(try fields.next("a foundation"))
    guard (1...32).contains(foundation.utf8.count), foundation.utf8.allSatisfy(Self.isICECharacter) else {
      throw fields.malformed("a foundation that is not 1 to 32 letters, digits, '+' or '/'")
    }
    let component = try fields.number("a component", 1...256)
    let transport = try fields.transport()
    let priority = try fields.number("a priority", 1...Int(UInt32.max))
    let host = try fields.host()
    let port = try fields.number("a port", 0...65_535)
    try fields.keyword("typ")
    guard let type = ICECandidateType(rawValue: String(try fields.next("a type"))) else { throw fields.malformed("an unknown type") }
    self.init(
      foundation: foundation, component: component, transport: transport, priority: UInt32(clamping: priority), host: host,
      port: UInt16(clamping: port), type: type)
    try readExtensions(&fields)
    guard transport == .udp || tcpType != nil else { throw fields.malformed("a TCP candidate without tcptype") }
  }

  private mutating func readExtensions(_ fields: inout Fields) throws(ICEError) {
    var relatedHost: ICEHost?
    while !fields.isAtEnd {
      let name = String(try fields.next("an extension"))
      switch name {
      case "raddr" where relatedHost == nil: relatedHost = try fields.host()
      case "rport" where relatedHost != nil && related == nil:
        related = Related(relatedHost ?? .ip(.anyV4), UInt16(clamping: try fields.number("a port", 0...65_535)))
      case "tcptype" where tcpType == nil && transport == .tcp:
        guard let type = ICETCPType(rawValue: String(try fields.next("a tcptype"))) else { throw fields.malformed("an unknown tcptype") }
        tcpType = type
      // A second one, or a port without its address.
      case "raddr", "rport": throw fields.malformed("\(name) out of its place")
      default: extensions.append(Extension(name, String(try fields.next("the value of \(name)"))))
      }
    }
  }

  /// `ice-char` of RFC 8839 §5.4.
  static func isICECharacter(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
      UInt8(ascii: "+"), UInt8(ascii: "/"):
      true
    default: false
    }
  }
}

/// Words between single spaces.
private struct Fields {
  private var words: ArraySlice<Substring>

  init(_ line: Substring) { words = line.split(separator: " ", omittingEmptySubsequences: false)[...] }

  var isAtEnd: Bool { words.isEmpty }

  /// At the field that was read last.
  func malformed(_ what: String) -> ICEError { .malformedCandidate(what, at: max(words.startIndex - 1, 0)) }

  mutating func next(_ what: String) throws(ICEError) -> Substring {
    guard let word = words.popFirst(), !word.isEmpty else { throw .malformedCandidate("\(what) is missing", at: words.startIndex) }
    return word
  }

  mutating func keyword(_ text: String) throws(ICEError) {
    guard try next(text) == text else { throw malformed("something other than '\(text)'") }
  }

  mutating func number(_ what: String, _ range: ClosedRange<Int>) throws(ICEError) -> Int {
    let word = try next(what)
    guard word.utf8.allSatisfy({ (48...57).contains($0) }), let number = Int(word), range.contains(number) else {
      throw malformed("\(what) outside \(range.lowerBound) to \(range.upperBound)")
    }
    return number
  }

  mutating func transport() throws(ICEError) -> ICETransport {
    switch try next("a transport").lowercased() {
    case "udp": return .udp
    case "tcp", "ssltcp": return .tcp
    default: throw malformed("a transport that is neither UDP nor TCP")
    }
  }

  mutating func host() throws(ICEError) -> ICEHost {
    let word = String(try next("an address"))
    if let ip = IPAddress(word) { return .ip(ip) }
    let isName = word.utf8.allSatisfy {
      ICECandidate.isICECharacter($0) && $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "+") || $0 == UInt8(ascii: "-")
        || $0 == UInt8(ascii: ".")
    }
    guard isName, word.utf8.count <= 253, word.utf8.contains(where: { $0 > 57 }) else { throw malformed("no address and no host name") }
    return .name(word)
  }
}
