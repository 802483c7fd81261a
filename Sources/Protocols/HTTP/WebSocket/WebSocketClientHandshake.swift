internal import MartletPrimitives

/// The client's half of the handshake (RFC 6455 §4.1).
package struct WebSocketClientHandshake: Sendable {
  package let request: HTTPRequest
  private let key: String
  private let subprotocols: [String]
  private let deflate: DeflateSettings

  /// - Parameters:
  ///   - nonce: 16 random bytes.
  ///   - fields: more of the caller's, such as `Authorization` and `Origin`.
  /// - Throws: 400 when the URL's path cannot be requested.
  package init(
    _ url: URLReference, nonce: [UInt8], subprotocols: [String] = [], deflate: DeflateSettings = DeflateSettings(),
    fields: HTTPFields = [:]
  ) throws(HTTPError) {
    self.deflate = deflate
    key = Base64.encode(Array(nonce.prefix(16)) + [UInt8](repeating: 0, count: max(0, 16 - nonce.count)))
    self.subprotocols = subprotocols
    var request = HTTPRequest(target: try HTTPTarget(url.requestTarget, authority: url.authority))
    request.fields = [
      "Host": url.authority, "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": key,
      "Sec-WebSocket-Version": "13",
    ]
    if !subprotocols.isEmpty { request.fields.append("Sec-WebSocket-Protocol", subprotocols.joined(separator: ", ")) }
    if let offer = DeflateAgreement.offer(deflate) { request.fields.append("Sec-WebSocket-Extensions", offer) }
    request.fields.append(contentsOf: fields)
    self.request = request
  }

  /// Checks the server's answer; answers what was agreed on.
  ///
  /// - Throws: 502, saying what was wrong.
  package func finish(_ response: HTTPResponse) throws(HTTPError) -> WebSocketHandshake.Agreement {
    guard response.status == .switchingProtocols else {
      throw HTTPError(.badGateway, "the server answered \(response.status) to a WebSocket handshake")
    }
    guard response.fields.contains("Upgrade", token: "websocket"), response.fields.contains("Connection", token: "upgrade") else {
      throw HTTPError(.badGateway, "the server switched to something else than WebSocket")
    }
    guard response.fields.all("Sec-WebSocket-Accept") == [WebSocketHandshake.acceptance(of: key)] else {
      throw HTTPError(.badGateway, "Sec-WebSocket-Accept does not belong to our key")
    }
    var agreement = WebSocketHandshake.Agreement()
    agreement.deflate = try DeflateAgreement.adopt(response.fields.list("Sec-WebSocket-Extensions"), deflate)
    let chosen = response.fields.list("Sec-WebSocket-Protocol")
    guard let subprotocol = chosen.first else { return agreement }
    guard chosen.count == 1, subprotocols.contains(subprotocol) else {
      throw HTTPError(.badGateway, "the server chose a subprotocol that was not offered")
    }
    agreement.subprotocol = subprotocol
    return agreement
  }
}
