internal import MartletCrypto
internal import MartletPrimitives

/// The opening handshake (RFC 6455 §4), over HTTP/1.1 by Upgrade and over HTTP/2 by extended CONNECT (RFC 8441).
///
/// `Origin` is left to the caller: who may connect is a matter of configuration.
package enum WebSocketHandshake {
  package enum Decision: Equatable, Sendable {
    /// Send the response (101, or 200 in HTTP/2); frames follow.
    case accept(HTTPResponse, subprotocol: String?)
    /// Send the response, with a body or not, and go on with HTTP.
    case refuse(HTTPResponse, reason: String)
  }

  /// Whether the client asks for a WebSocket at all, rightly or not.
  package static func isRequested(by request: HTTPRequest) -> Bool {
    request.connectProtocol?.equalsIgnoringCase("websocket") ?? request.fields.contains("Upgrade", token: "websocket")
  }

  /// §4.2.
  ///
  /// - Parameter subprotocols: what the server speaks; the client's first preference among them is chosen.
  package static func answer(_ request: HTTPRequest, subprotocols: [String] = []) -> Decision {
    let isHTTP2 = request.connectProtocol != nil
    guard isHTTP2 ? request.method == .connect : request.method == .get else {
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
    let offered = request.fields.list("Sec-WebSocket-Protocol")
    guard offered.allSatisfy(\.isToken) else { return refuse(.badRequest, [:], "Sec-WebSocket-Protocol is no list of tokens") }
    let subprotocol = offered.first(where: subprotocols.contains)
    if let subprotocol { response.fields.append("Sec-WebSocket-Protocol", subprotocol) }
    return .accept(response, subprotocol: subprotocol)
  }

  private static func refuse(_ status: HTTPStatus, _ fields: HTTPFields, _ reason: String) -> Decision {
    .refuse(HTTPResponse(status, fields), reason: reason)
  }

  /// The value of `Sec-WebSocket-Accept` (§4.2.2 step 5.4).
  package static func acceptance(of key: String) -> String {
    Base64.encode(Digest.hash(.sha1, Array((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").utf8)))
  }
}

/// The client's half of the handshake (RFC 6455 §4.1).
package struct WebSocketClientHandshake: Sendable {
  package let request: HTTPRequest
  private let key: String
  private let subprotocols: [String]

  /// - Parameters:
  ///   - nonce: 16 random bytes.
  ///   - fields: more of the caller's, such as `Authorization` and `Origin`.
  /// - Throws: 400 when the URL's path cannot be requested.
  package init(
    _ url: URLReference, nonce: [UInt8], subprotocols: [String] = [], fields: HTTPFields = [:]
  ) throws(HTTPError) {
    key = Base64.encode(Array(nonce.prefix(16)) + [UInt8](repeating: 0, count: max(0, 16 - nonce.count)))
    self.subprotocols = subprotocols
    var request = HTTPRequest(target: try HTTPTarget(url.requestTarget, authority: url.authority))
    request.fields = [
      "Host": url.authority, "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": key,
      "Sec-WebSocket-Version": "13",
    ]
    if !subprotocols.isEmpty { request.fields.append("Sec-WebSocket-Protocol", subprotocols.joined(separator: ", ")) }
    request.fields.append(contentsOf: fields)
    self.request = request
  }

  /// Checks the server's answer; answers the subprotocol it chose.
  ///
  /// - Throws: 502, saying what was wrong.
  package func finish(_ response: HTTPResponse) throws(HTTPError) -> String? {
    guard response.status == .switchingProtocols else {
      throw HTTPError(.badGateway, "the server answered \(response.status) to a WebSocket handshake")
    }
    guard response.fields.contains("Upgrade", token: "websocket"), response.fields.contains("Connection", token: "upgrade") else {
      throw HTTPError(.badGateway, "the server switched to something else than WebSocket")
    }
    guard response.fields.all("Sec-WebSocket-Accept") == [WebSocketHandshake.acceptance(of: key)] else {
      throw HTTPError(.badGateway, "Sec-WebSocket-Accept does not belong to our key")
    }
    guard response.fields.list("Sec-WebSocket-Extensions").isEmpty else {
      throw HTTPError(.badGateway, "the server uses a WebSocket extension that was not offered")
    }
    let chosen = response.fields.list("Sec-WebSocket-Protocol")
    guard let subprotocol = chosen.first else { return nil }
    guard chosen.count == 1, subprotocols.contains(subprotocol) else {
      throw HTTPError(.badGateway, "the server chose a subprotocol that was not offered")
    }
    return subprotocol
  }
}
