internal import MartletIO
internal import MartletContainers
internal import MartletMedia
internal import MartletPrimitives
internal import MartletRTMP

/// The publishing half of an RTMP connection: messages in, frames of a publication out.
internal final class RTMPPublisher: PublicationOwner {
  internal let streamID: UInt32
  internal let client: ClientInfo
  private unowned let session: RTMPConnection
  private var publication: Publication?
  private var ingest = FLVIngest()

  internal init(_ session: RTMPConnection, streamID: UInt32, client: ClientInfo) throws(PublishError) {
    self.session = session
    self.streamID = streamID
    self.client = client
    publication = try session.listener.admission.hub.publish(client, owner: self)
    watchSilence()
  }

  internal func receive(_ message: RTMPMessage) {
    guard let publication, !message.payload.isEmpty, let kind = FLVTag.Kind(rawValue: message.type.rawValue) else { return }
    do throws(ParseError) {
      if let notice = try ingest.receive(kind, timestamp: message.timestamp, body: message.payload, into: publication) {
        session.context.log(.warning, "rtmp", "\(client.path): \(notice)", ["client": client.id])
      }
    } catch {
      session.fail("\(client.path): \(message.type) message: \(error)")
    }
  }

  internal func finish() {
    publication?.finish()
    publication = nil
  }

  internal func publicationWasRevoked(_ publication: Publication, _ reason: KickReason) {
    session.context.log(.info, "rtmp", "\(client.path): publisher closed: \(reason)", ["client": client.id])
    session.connection.closeAfterFlush()
  }

  /// One timer for each publisher that looks at when bytes last came, instead of one re-armed per packet.
  private func watchSilence() {
    let limit = session.listener.configuration.publisherTimeout
    session.context.schedule(at: session.connection.lastRead + limit) { [weak self] in
      guard let self, self.publication != nil else { return }
      if self.session.context.now - self.session.connection.lastRead < limit { return self.watchSilence() }
      self.session.fail("\(self.client.path): the publisher sent nothing for \(Int(limit.seconds)) s")
    }
  }
}
