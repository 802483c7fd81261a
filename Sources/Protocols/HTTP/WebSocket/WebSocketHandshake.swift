internal import MartletCrypto
internal import MartletPrimitives

/// The opening handshake (RFC 6455 §4), over HTTP/1.1 by Upgrade and over HTTP/2 by extended CONNECT (RFC 8441).
///
package enum WebSocketHandshake {
  /// What a server brings to a handshake.
  package struct Terms: Sendable {
    /// What the endpoint speaks; the client's first preference among them is chosen.
    package var subprotocols: [String] = []
    /// Clients that offer none of them are refused (400) instead of accepted without.
    package var requiresSubprotocol = false
    package var deflate = DeflateSettings()
    package var origins = WebSocketOrigins.any
    package init() {}
  }

  /// What client and server agreed on.
  package struct Agreement: Equatable, Sendable {
    package var subprotocol: String?
    package var deflate: DeflateAgreement?
    package init() {}
  }

  package enum Decision: Equatable, Sendable {
    /// Send the response (101, or 200 in HTTP/2); frames follow.
    case accept(HTTPResponse, Agreement)
    /// Send the response, with a body or not, and go on with HTTP.
    case refuse(HTTPResponse, reason: String)
  }

  /// Whether the client asks for a WebSocket at all, rightly or not.
  package static func isRequested(by request: HTTPRequest) -> Bool {
    request.connectProtocol?.equalsIgnoringCase("websocket") ?? request.fields.contains("Upgrade", token: "websocket")
  }

  /// §4.2.
  ///
  /// - Parameter isSecure: the request came by https, which is part of its own origin.
  package static func answer(_ request: HTTPRequest, _ terms: Terms = Terms(), isSecure: Bool = false) -> Decision {
    let isHTTP2 = request.connectProtocol != nil
    guard request.method == .get || isHTTP2 && request.method == .connect else {
      return refuse(.methodNotAllowed, ["Allow": "GET"], "a WebSocket begins with GET")
    }
    guard isHTTP2 || request.asksUpgrade(to: "websocket") else {
      let fields: HTTPFields = ["Upgrade": "websocket", "Connection": "Upgrade"]
      return refuse(.upgradeRequired, fields, "HTTP/1.1 with Connection: Upgrade and Upgrade: websocket was expected")
    }
    guard request.fields.all("Sec-WebSocket-Version") == ["13"] else {
      var fields: HTTPFields = ["Sec-WebSocket-Version": "13"]
      if !isHTTP2 { fields.append(contentsOf: ["Upgrade": "websocket", "Connection": "Upgrade"]) }
      return refuse(.upgradeRequired, fields, "WebSocket version 13 was expected")
    }
    var response = HTTPResponse(isHTTP2 ? .ok : .switchingProtocols)
    if !isHTTP2 {
      let keys = request.fields.all("Sec-WebSocket-Key")
      guard keys.count == 1, let key = keys.first, Base64.decode(key)?.count == 16 else {
        return refuse(.badRequest, [:], "Sec-WebSocket-Key is not 16 bytes in base64")
      }
      response.fields = ["Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": acceptance(of: key)]
    }
    guard terms.origins.allows(request, isSecure: isSecure) else {
      return refuse(.forbidden, [:], "pages of this Origin may not connect (http.websocket.origins, http.cors.origins)")
    }
    return agree(request, terms, response)
  }

  /// Subprotocol (§4.2.2 step 5.5) and extensions (§9.1).
  private static func agree(_ request: HTTPRequest, _ terms: Terms, _ response: HTTPResponse) -> Decision {
    var (response, agreement) = (response, Agreement())
    let offered = request.fields.list("Sec-WebSocket-Protocol")
    guard offered.count <= 100, offered.allSatisfy(\.isToken), Set(offered).count == offered.count else {
      return refuse(.badRequest, [:], "Sec-WebSocket-Protocol is no list of different tokens")
    }
    agreement.subprotocol = offered.first(where: terms.subprotocols.contains)
    if let subprotocol = agreement.subprotocol {
      response.fields.append("Sec-WebSocket-Protocol", subprotocol)
    } else if terms.requiresSubprotocol {
      let known = terms.subprotocols.joined(separator: ", ")
      return refuse(.badRequest, [:], "Sec-WebSocket-Protocol with one of these was expected: \(known)")
    }
    if let (deflate, answer) = DeflateAgreement.accept(request.fields.list("Sec-WebSocket-Extensions"), terms.deflate) {
      agreement.deflate = deflate
      response.fields.append("Sec-WebSocket-Extensions", answer)
    }
    return .accept(response, agreement)
  }

  private static func refuse(_ status: HTTPStatus, _ fields: HTTPFields, _ reason: String) -> Decision {
    .refuse(HTTPResponse(status, fields), reason: reason)
  }

  /// The value of `Sec-WebSocket-Accept` (§4.2.2 step 5.4).
  package static func acceptance(of key: String) -> String {
    Base64.encode(Digest.hash(.sha1, Array((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").utf8)))
  }
}
