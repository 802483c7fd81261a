internal import MartletIO
internal import MartletHTTP
internal import MartletMedia
internal import MartletPrimitives
internal import MartletWeb

/// One viewer over a WebSocket: each unit of the stream is a binary message, framed once for all viewers. What the viewer
/// sends is ignored.
internal final class WebSocketViewer: RingReaderOwner, WebSocketHandler {
  private let session: WebSocketSession
  private let reader: RingReader
  private var hasBegun = false
  private var leave: () -> Void = {}

  internal init(_ session: WebSocketSession, _ reader: RingReader) {
    self.session = session
    self.reader = reader
    reader.owner = self
    session.handler = self
  }

  internal func begin(_ admission: Admission, left: @escaping (ObjectIdentifier) -> Void) {
    admission.access.sessionDidBegin(reader.client)
    leave = { [unowned self] in
      admission.access.sessionDidEnd(self.reader.client)
      left(ObjectIdentifier(self))
    }
    reader.wait()
    admission.context.schedule(after: admission.hub.configuration.waitForPublisher) { [weak self] in
      guard let self, !self.hasBegun else { return }
      self.session.close(LiveCloseCode.notFound, reason: "nobody publishes \(self.reader.client.path)")
    }
  }

  internal func readerDidBegin(_ reader: RingReader) {
    hasBegun = true
    // Nothing may follow a Close.
    if session.isOpen { reader.start() }
  }

  internal func readerDidEnd(_ reader: RingReader, _ reason: EndReason) {
    switch reason {
    case .unsupported(let error): session.close(LiveCloseCode.unsupported, reason: "\(error)")
    case .unpublished: session.close(LiveCloseCode.ended, reason: "the stream ended")
    }
  }

  internal func readerWasKicked(_ reader: RingReader, _ reason: KickReason) {
    session.context.log(.info, reader.client.transport, "\(reader.client.path): viewer closed: \(reason)", ["client": reader.client.id])
    switch reason {
    case .stuck: session.abort("\(reason)")
    case .administrator: session.close(LiveCloseCode.kicked, reason: "\(reason)")
    case .expired: session.close(LiveCloseCode.expired, reason: "\(reason)")
    }
  }

  internal func webSocketDidClose(_ session: WebSocketSession, _ code: WebSocketCloseCode, _ reason: String) {
    reader.stop()
    leave()
  }
}

/// Close codes of a live WebSocket: 4000 to 4499 say "come again", 4500 and above "do not".
internal enum LiveCloseCode {
  internal static let ended = WebSocketCloseCode(rawValue: 4000)
  internal static let notFound = WebSocketCloseCode(rawValue: 4004)
  internal static let expired = WebSocketCloseCode(rawValue: 4501)
  internal static let kicked = WebSocketCloseCode(rawValue: 4503)
  internal static let unsupported = WebSocketCloseCode(rawValue: 4515)
}
