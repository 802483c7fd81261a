/// How this end compresses (RFC 7692), and what it asks of its peer.
///
/// By default no end keeps a window between messages: a broadcast can then be compressed once for all (`WebSocketImage`), and
/// a connection holds no compression state while it is idle.
package struct DeflateSettings: Equatable, Sendable {
  package var isEnabled = true
  /// Our window outlives a message: smaller repetitive messages, for 260 KB a connection, and nothing can be shared.
  package var keepsOwnWindow = false
  /// The peer's window may outlive a message: 44 KB a connection from its first compressed message on.
  package var keepsPeerWindow = false
  /// Binary messages are compressed as well; most are media, which grows.
  package var compressesBinary = false
  /// 1 (fast) to 9 (small).
  package var level: UInt8 = 5
  /// How far back our matches may reach, 2^n bytes: 8 to 15.
  package var windowBits: UInt8 = 15
  /// Shorter messages go as they are: their compression costs more than it saves.
  package var minimumBytes: UInt32 = 256
  package init() {}
}

/// What both ends agreed on for permessage-deflate.
package struct DeflateAgreement: Equatable, Sendable {
  package struct Direction: Equatable, Sendable {
    package var keepsWindow = true
    package var windowBits: UInt8 = 15

    package init(keepsWindow: Bool = true, windowBits: UInt8 = 15) {
      self.keepsWindow = keepsWindow
      self.windowBits = windowBits
    }
  }

  /// What the server sends, and what the client sends.
  package var server = Direction()
  package var client = Direction()

  package init() {}

  private static let name = "permessage-deflate"

  // MARK: Servers

  /// The first of a client's offers that can be met (§5, §7.1), and the value of the response's `Sec-WebSocket-Extensions`.
  /// Offers with parameters that are unknown, doubled or out of range are declined, which leaves the connection without.
  package static func accept(_ offers: [String], _ settings: DeflateSettings) -> (agreement: DeflateAgreement, answer: String)? {
    guard settings.isEnabled else { return nil }
    for offer in offers {
      guard let element = ExtensionElement(offer), element.name == name, let parameters = Parameters(element, .offer) else { continue }
      var agreement = DeflateAgreement()
      var answer = name
      agreement.server.keepsWindow = settings.keepsOwnWindow && !parameters.serverForgets
      if !agreement.server.keepsWindow { answer += "; server_no_context_takeover" }
      agreement.client.keepsWindow = settings.keepsPeerWindow && !parameters.clientForgets
      if !agreement.client.keepsWindow { answer += "; client_no_context_takeover" }
      agreement.server.windowBits = min(settings.windowBits, parameters.serverBits ?? 15)
      if agreement.server.windowBits < 15 || parameters.serverBits != nil {
        answer += "; server_max_window_bits=\(agreement.server.windowBits)"
      }
      // Ours is large enough for whatever the client uses, so there is nothing to ask for.
      agreement.client.windowBits = parameters.clientBits ?? 15
      return (agreement, answer)
    }
    return nil
  }

  // MARK: Clients

  /// The value of a client's `Sec-WebSocket-Extensions`.
  package static func offer(_ settings: DeflateSettings) -> String? {
    guard settings.isEnabled else { return nil }
    var offer = name
    if !settings.keepsPeerWindow { offer += "; server_no_context_takeover" }
    if !settings.keepsOwnWindow { offer += "; client_no_context_takeover" }
    return offer + "; client_max_window_bits"
  }

  /// What the server made of the offer; `nil` without compression.
  ///
  /// - Throws: 502 for an answer that does not fit the offer, which fails the connection (§5, §7.1).
  package static func adopt(_ answers: [String], _ settings: DeflateSettings) throws(HTTPError) -> DeflateAgreement? {
    guard let answer = answers.first else { return nil }
    guard answers.count == 1, settings.isEnabled, let element = ExtensionElement(answer), element.name == name else {
      throw HTTPError(.badGateway, "the server uses a WebSocket extension that was not offered")
    }
    guard let parameters = Parameters(element, .answer), settings.keepsPeerWindow || parameters.serverForgets else {
      throw HTTPError(.badGateway, "the server's answer to permessage-deflate does not fit the offer")
    }
    var agreement = DeflateAgreement()
    agreement.server = Direction(keepsWindow: !parameters.serverForgets, windowBits: parameters.serverBits ?? 15)
    agreement.client.keepsWindow = settings.keepsOwnWindow && !parameters.clientForgets
    agreement.client.windowBits = min(settings.windowBits, parameters.clientBits ?? 15)
    return agreement
  }

  /// §7.1.1 and §7.1.2.
  private struct Parameters {
    enum Place { case offer, answer }
    var serverForgets = false, clientForgets = false
    var serverBits: UInt8?, clientBits: UInt8?

    /// `nil` for what the section does not allow there.
    init?(_ element: ExtensionElement, _ place: Place) {
      var seen: Set<String> = []
      for (name, value) in element.parameters {
        guard seen.insert(name).inserted else { return nil }
        switch (name, value) {
        case ("server_no_context_takeover", nil): serverForgets = true
        case ("client_no_context_takeover", nil): clientForgets = true
        // Alone, it says that the client can be asked.
        case ("client_max_window_bits", nil) where place == .offer: break
        case ("server_max_window_bits", let value?):
          guard let bits = Self.bits(value) else { return nil }
          serverBits = bits
        case ("client_max_window_bits", let value?):
          guard let bits = Self.bits(value) else { return nil }
          clientBits = bits
        default: return nil
        }
      }
    }

    private static func bits(_ text: String) -> UInt8? {
      guard text.utf8.allSatisfy(\.isDigit), text.utf8.first != UInt8(ascii: "0"), let bits = UInt8(text) else { return nil }
      return (8...15).contains(bits) ? bits : nil
    }
  }
}

/// One element of `Sec-WebSocket-Extensions` (RFC 6455 §9.1): a name and parameters, whose values may be quoted.
internal struct ExtensionElement: Equatable {
  let name: String
  private(set) var parameters: [Parameter] = []

  typealias Parameter = (name: String, value: String?)

  /// `nil` for what is no such element.
  init?(_ text: String) {
    let parts = text.split(separator: ";", omittingEmptySubsequences: false).map(\.trimmed)
    guard let first = parts.first, first.isToken, parts.count <= 16 else { return nil }
    name = String(first)
    for part in parts.dropFirst() {
      let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(\.trimmed)
      guard pair[0].isToken else { return nil }
      guard pair.count > 1 else {
        parameters.append((String(pair[0]), nil))
        continue
      }
      var value = pair[1]
      // A quoted value must be a token once the quotes are gone.
      if value.utf8.count >= 2, value.hasPrefix("\""), value.hasSuffix("\"") { value = value.dropFirst().dropLast() }
      guard value.isToken else { return nil }
      parameters.append((String(pair[0]), String(value)))
    }
  }

  static func == (a: ExtensionElement, b: ExtensionElement) -> Bool {
    a.name == b.name && a.parameters.elementsEqual(b.parameters) { $0 == $1 }
  }
}
