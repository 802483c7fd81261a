internal import MartletHTTP
internal import MartletIO
internal import MartletPrimitives

/// Asks a proxy for a tunnel (RFC 9110 §9.3.6) and begins TLS inside it.
internal final class HTTPProxyTunnel: TCPConnectionHandler {
  private let secure: SecureLayer
  private var parser: ResponseParser
  private var then: ((HTTPClientError?) -> Void)?

  /// Takes the connection over until `then` is called: with `nil` when TLS with the origin is established.
  internal static func begin(
    to origin: HTTPClient.Origin, through proxy: URLReference, on connection: TCPConnection, _ secure: SecureLayer, limits: HTTP1Limits,
    within limit: TimeSpan, then: @escaping (HTTPClientError?) -> Void
  ) {
    let tunnel = HTTPProxyTunnel(secure, limits, then)
    connection.handler = tunnel
    connection.context.schedule(after: limit) { [weak tunnel, weak connection] in
      guard let tunnel, let connection else { return }
      tunnel.fail(.init(.timeout, "the proxy did not open a tunnel within \(limit.seconds) s"), connection)
    }
    let host = origin.host.contains(":") ? "[\(origin.host)]" : origin.host
    do throws(HTTPError) {
      let target = try HTTPTarget("\(host):\(origin.port)", method: .connect)
      var request = HTTPRequest(method: .connect, target: target)
      if let credentials = proxy.basicCredentials { request.fields.append("Proxy-Authorization", credentials) }
      connection.write(RequestWriter.head(request, body: .none))
    } catch {
      connection.context.atEndOfTurn { tunnel.fail(.init(.invalid, "\(error)"), connection) }
    }
  }

  private init(_ secure: SecureLayer, _ limits: HTTP1Limits, _ then: @escaping (HTTPClientError?) -> Void) {
    self.secure = secure
    self.then = then
    parser = ResponseParser(limits: limits)
    parser.expect(responseTo: .connect)
  }

  internal func connection(_ connection: TCPConnection, didReceive bytes: RawSpan) {
    guard then != nil else { return }
    do throws(HTTPError) { _ = try parser.receive(bytes) } catch { return fail(.init(.proxy, "the proxy's answer: \(error)"), connection) }
    while let event = parser.pollEvent() {
      switch event {
      case .switched: return connection.startTLS(secure)
      case .head(let response, _): return fail(.init(.proxy, "the proxy refused the tunnel: \(response.status)"), connection)
      case .informational, .body, .end: break
      }
    }
  }

  internal func connectionDidOpen(_ connection: TCPConnection) { exchange(&then, with: nil)?(nil) }

  internal func connectionDidClose(_ connection: TCPConnection, _ reason: TCPConnection.CloseReason) {
    exchange(&then, with: nil)?(.init(.proxy, "the connection through the proxy: \(reason)"))
  }

  private func fail(_ error: HTTPClientError, _ connection: TCPConnection) {
    guard let then = exchange(&then, with: nil) else { return }
    connection.close()
    then(error)
  }
}

extension URLReference {
  /// User and password as the value of `Authorization` or `Proxy-Authorization` (RFC 7617).
  package var basicCredentials: String? {
    guard let user else { return nil }
    return "Basic " + Base64.encode(Array("\(user):\(password ?? "")".utf8))
  }
}
