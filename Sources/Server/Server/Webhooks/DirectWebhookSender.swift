internal import MartletCrypto
internal import MartletHTTP
package import MartletIO
internal import MartletPrimitives

/// Sends each webhook over a connection of its own: they are few, and a connection kept open would have to be watched.
package final class DirectWebhookSender: WebhookSender {
  private let context: LoopContext
  private var deliveries: [ObjectIdentifier: WebhookDelivery] = [:]
  private var tls: TLSContext?

  package init(in context: LoopContext) { self.context = context }

  package func send(_ request: WebhookRequest, then: @escaping (WebhookOutcome) -> Void) {
    guard let url = URLReference(request.url) else { return context.atEndOfTurn { then(.failed("its URL cannot be read")) } }
    if url.isSecure, tls == nil {
      do throws(TLSError) { tls = try .client() } catch {
        let reason = error.reason
        return context.atEndOfTurn { then(.failed(reason)) }
      }
    }
    let delivery = WebhookDelivery(request, url, tls: url.isSecure ? tls : nil, in: context)
    deliveries[ObjectIdentifier(delivery)] = delivery
    delivery.start { [weak self, weak delivery] outcome in
      if let delivery { self?.deliveries[ObjectIdentifier(delivery)] = nil }
      then(outcome)
    }
  }
}

/// One message on its way: resolve, connect, write, read the answer, all within the timeout.
private final class WebhookDelivery: TCPConnectionHandler {
  private static let answerLimit = 64 * 1024
  private let request: WebhookRequest
  private let url: URLReference
  private let tls: TLSContext?
  private let context: LoopContext
  private var addresses: [IPAddress] = []
  private var connection: TCPConnection?
  private var parser = ResponseParser()
  private var status: Int?
  private var answer: [UInt8] = []
  private var finish: ((WebhookOutcome) -> Void)?
  private var timer: SlabID?

  init(_ request: WebhookRequest, _ url: URLReference, tls: TLSContext?, in context: LoopContext) {
    self.request = request
    self.url = url
    self.tls = tls
    self.context = context
    parser.expect(responseTo: .post)
  }

  func start(_ finish: @escaping (WebhookOutcome) -> Void) {
    self.finish = finish
    timer = context.schedule(after: request.timeout) { [weak self] in self?.end(.failed("it did not answer in time")) }
    context.resolve(url.host) { [weak self] result in
      guard let self else { return }
      switch result {
      case .failure(let error): self.end(.failed("\(error)"))
      case .success(let addresses):
        self.addresses = addresses
        self.connectToNext("no address")
      }
    }
  }

  private func connectToNext(_ reason: String) {
    guard finish != nil else { return }
    guard !addresses.isEmpty else { return end(.failed(reason)) }
    let ip = addresses.removeFirst()
    guard request.allowsPrivateTargets || !ip.isSpecialPurpose else { return connectToNext("\(ip) is not a public address") }
    do {
      let secure = try tls.map { try SecureLayer($0, serverName: url.host) }
      connection = try TCPConnection(
        connectingTo: SocketAddress(ip: ip, port: url.effectivePort), secure: secure, in: context, handler: self)
    } catch { connectToNext("\(error)") }
  }

  private func end(_ outcome: WebhookOutcome) {
    guard let finish = exchange(&finish, with: nil) else { return }
    if let timer { context.cancel(timer) }
    let connection = connection
    self.connection = nil
    connection?.close()
    finish(outcome)
  }

  // MARK: TCPConnectionHandler

  func connectionDidOpen(_ connection: TCPConnection) {
    var fields = HTTPFields()
    let isDefaultPort = url.port == nil || url.port == (url.isSecure ? 443 : 80)
    let host = url.host.contains(":") ? "[\(url.host)]" : url.host
    fields.append("Host", host + (isDefaultPort ? "" : ":\(url.effectivePort)"))
    for (name, value) in request.fields { fields.append(name, value) }
    if let user = url.user {
      fields.append("Authorization", "Basic " + Base64.encode(Array("\(user):\(url.password ?? "")".utf8)))
    }
    fields.append("Connection", "close")
    do throws(HTTPError) {
      let target = try HTTPTarget(url.rawPath + (url.rawQuery.map { "?" + $0 } ?? ""), method: .post)
      let head = HTTPRequest(method: .post, target: target, fields: fields)
      connection.write(RequestWriter.head(head, body: .length(request.body.count)))
      connection.write(request.body)
    } catch { end(.failed("\(error)")) }
  }

  func connection(_ connection: TCPConnection, didReceive bytes: RawSpan) {
    do throws(HTTPError) { _ = try parser.receive(bytes) } catch { return end(.failed("\(error)")) }
    drain()
  }

  func connectionDidReachEnd(_ connection: TCPConnection) {
    do throws(HTTPError) { try parser.receiveEnd() } catch { return end(.failed("\(error)")) }
    drain()
  }

  private func drain() {
    while finish != nil, let event = parser.pollEvent() {
      switch event {
      case .informational: break
      case .head(let response, _): status = response.status.code
      case .body(let part):
        guard answer.count + part.count <= Self.answerLimit else { return end(.failed("its answer is too long")) }
        part.withUnsafeBytes { answer.append(contentsOf: $0) }
      case .end: if let status { end(.answered(status: status, body: answer)) }
      case .switched: end(.failed("it answered with another protocol"))
      }
    }
  }

  func connectionDidClose(_ connection: TCPConnection, _ reason: TCPConnection.CloseReason) {
    guard connection === self.connection else { return }
    self.connection = nil
    if status == nil { connectToNext("\(reason)") } else { end(.failed("\(reason)")) }
  }
}
