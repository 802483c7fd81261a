internal import MartletIO
internal import MartletHTTP
internal import MartletMedia
internal import MartletPrimitives
internal import MartletWeb

/// One viewer over HTTP. The response's head waits until there is a stream, so that a name that nobody publishes is a 404
/// and not an empty file.
internal final class HTTPViewer: RingReaderOwner {
  private let exchange: HTTPExchange
  private let reader: RingReader
  private let contentType: String
  private var hasEnded = false

  internal init(_ exchange: HTTPExchange, _ reader: RingReader, contentType: String) {
    self.exchange = exchange
    self.reader = reader
    self.contentType = contentType
    reader.owner = self
  }

  internal func begin(_ admission: Admission, left: @escaping (ObjectIdentifier) -> Void) {
    admission.access.sessionDidBegin(reader.client)
    exchange.onClose = { [unowned self] in
      // What the ring still holds of a stream that ended goes out before the connection closes.
      if !self.hasEnded { self.reader.stop() }
      admission.access.sessionDidEnd(self.reader.client)
      left(ObjectIdentifier(self))
    }
    reader.wait()
    guard exchange.status == nil, !exchange.isFinished else { return }
    admission.context.schedule(after: admission.hub.configuration.waitForPublisher) { [weak self] in
      guard let self, self.exchange.status == nil else { return }
      self.exchange.refuse(.notFound, "nobody publishes \(self.reader.client.path)")
    }
  }

  internal func readerDidBegin(_ reader: RingReader) {
    if exchange.status == nil {
      let fields: HTTPFields = ["Content-Type": contentType, "Cache-Control": "no-store", "X-Accel-Buffering": "no"]
      exchange.stream(HTTPResponse(.ok, fields)) { _ in reader.start() }
    } else {
      reader.start()
    }
  }

  internal func readerDidEnd(_ reader: RingReader, _ reason: EndReason) {
    switch reason {
    case .unsupported(let error) where exchange.status == nil: exchange.refuse(406, "\(error)")
    case .unsupported, .unpublished:
      hasEnded = true
      reader.leaveRing()
      exchange.finish()
    }
  }

  internal func readerWasKicked(_ reader: RingReader, _ reason: KickReason) {
    exchange.context.log(.info, reader.client.transport, "\(reader.client.path): viewer closed: \(reason)", ["client": reader.client.id])
    if exchange.status == nil { exchange.refuse(.forbidden, "\(reason)") } else { exchange.abort() }
  }
}
