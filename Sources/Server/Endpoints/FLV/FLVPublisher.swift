internal import MartletIO
internal import MartletContainers
internal import MartletHTTP
internal import MartletMedia
internal import MartletPrimitives
internal import MartletWeb

/// `POST /APP/NAME.flv`: an FLV file or endless FLV stream as the content of a request becomes a live stream.
///
/// Tags are published as they come, so a file goes as fast as the client sends it; `ffmpeg -re` and encoders keep the pace.
internal final class FLVPublisher: PublicationOwner {
  private let exchange: HTTPExchange
  private let client: ClientInfo
  private var reader = FLVReader()
  private var ingest = FLVIngest()
  private var publication: Publication?

  internal init(_ exchange: HTTPExchange, _ client: ClientInfo) {
    self.exchange = exchange
    self.client = client
  }

  internal func begin(_ admission: Admission, left: @escaping (ObjectIdentifier) -> Void) {
    do throws(PublishError) { publication = try admission.hub.publish(client, owner: self) } catch {
      left(ObjectIdentifier(self))
      return exchange.refuse(.conflict, "\(error)")
    }
    admission.access.sessionDidBegin(client)
    exchange.context.log(.info, client.transport, "\(client.path) is published", ["peer": "\(client.remote)", "client": client.id])
    exchange.onClose = { [unowned self] in
      self.publication?.finish()
      admission.access.sessionDidEnd(self.client)
      left(ObjectIdentifier(self))
    }
    exchange.onBody { [unowned self] bytes in
      self.receive(bytes)
    } end: { [unowned self] in
      self.exchange.respond(.noContent)
    }
  }

  private func receive(_ bytes: Slice) {
    guard let publication, !exchange.isFinished else { return }
    do throws(ParseError) {
      reader.receive(bytes.bytes)
      while let tag = try reader.next() {
        if let notice = try ingest.receive(tag.kind, timestamp: tag.timestamp, body: tag.body, into: publication) {
          exchange.context.log(.warning, client.transport, "\(client.path): \(notice)", ["client": client.id])
        }
      }
    } catch {
      exchange.refuse(.badRequest, "not FLV: \(error)")
    }
  }

  internal func publicationWasRevoked(_ publication: Publication, _ reason: KickReason) {
    exchange.refuse(.conflict, "the publisher was closed: \(reason)")
  }
}
