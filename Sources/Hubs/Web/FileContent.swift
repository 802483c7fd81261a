package import MartletHTTP
package import MartletIO
internal import MartletPrimitives

/// A file of the disk as a response: conditional requests, ranges, and content as fast as the client takes it.
package struct FileContent {
  package let file: ReadableFile
  private let contentType: String
  private let caching: String
  private let extra: HTTPFields

  /// - Parameters:
  ///   - caching: for `Cache-Control`.
  ///   - extra: further response fields.
  package init(_ file: ReadableFile, contentType: String, caching: String = "no-cache", extra: HTTPFields = [:]) {
    self.file = file
    self.contentType = contentType
    self.caching = caching
    self.extra = extra
  }

  package func respond(_ exchange: HTTPExchange) {
    let tag = EntityTag(file.version)
    var fields: HTTPFields = [
      "Content-Type": contentType, "Cache-Control": caching, "ETag": "\(tag)", "Last-Modified": HTTPDate.format(file.modified),
      "Accept-Ranges": "bytes",
    ]
    fields.append(contentsOf: extra)
    let representation = Representation(length: file.size, etag: tag, lastModified: file.modified)
    switch exchange.request.evaluateConditions(on: representation, now: exchange.context.wallTime) {
    case .notModified: exchange.respond(.notModified, fields)
    case .preconditionFailed: exchange.respond(.preconditionFailed, fields)
    case .unsatisfiable: exchange.respond(416, ["Content-Range": "bytes */\(file.size)"])
    case .part(let range):
      fields.append("Content-Range", "bytes \(range.lowerBound)-\(range.upperBound - 1)/\(file.size)")
      send(HTTPResponse(.partialContent, fields), range, exchange)
    // Several ranges at once: RFC 9110 §14.2 lets a server answer with the whole.
    case .whole, .parts: send(HTTPResponse(.ok, fields), 0..<file.size, exchange)
    }
  }

  private func send(_ response: HTTPResponse, _ range: Range<Int>, _ exchange: HTTPExchange) {
    exchange.begin(response, body: .length(range.count))
    guard exchange.request.method != .head, !range.isEmpty else { return exchange.finish() }
    exchange.context.service(FileTransfers.self).start(file, range, to: exchange)
  }
}

/// Files on their way to the clients of one loop. Blocks are read by threads that may wait for the disk, one block ahead of
/// what the client took.
package final class FileTransfers {
  private struct Transfer {
    let file: ReadableFile
    let exchange: HTTPExchange
    var rest: Range<Int>
    var isReading = false
    var isBlocked = false
  }

  /// Bytes read at once.
  private static let block = 256 * 1024

  private let context: LoopContext
  private let pool: ThreadPool
  private var transfers: [Int: Transfer] = [:]
  private var count = 0

  /// - Parameter pool: where the disk is read.
  package init(_ context: LoopContext, pool: ThreadPool) {
    self.context = context
    self.pool = pool
  }

  internal func start(_ file: ReadableFile, _ range: Range<Int>, to exchange: HTTPExchange) {
    count += 1
    let id = count
    transfers[id] = Transfer(file: file, exchange: exchange, rest: range)
    exchange.onClose = { [weak self] in self?.transfers[id] = nil }
    exchange.onWritable = { [weak self] in
      self?.transfers[id]?.isBlocked = false
      self?.read(id)
    }
    read(id)
  }

  private func read(_ id: Int) {
    guard let transfer = transfers[id], !transfer.isReading, !transfer.isBlocked else { return }
    let (file, loop) = (transfer.file, context.loop)
    let next = transfer.rest.prefix(Self.block)
    transfers[id]?.isReading = true
    let accepted = pool.submit {
      let bytes = file.read(next.startIndex..<next.endIndex)
      loop.post { $0.service(FileTransfers.self).didRead(bytes, id, asked: next.count) }
    }
    if accepted { return }
    // Many clients wait for the disk; this one tries again.
    context.schedule(after: .milliseconds(20)) { [weak self] in
      self?.transfers[id]?.isReading = false
      self?.read(id)
    }
  }

  private func didRead(_ bytes: Slice, _ id: Int, asked: Int) {
    guard let transfer = transfers[id] else { return }
    // The file was cut off meanwhile: the client must not take a part for the whole.
    guard bytes.count == asked else { return transfer.exchange.abort() }
    transfers[id]?.isReading = false
    transfers[id]?.rest = transfer.rest.dropFirst(asked)
    let keepsUp = transfer.exchange.write(bytes)
    guard let left = transfers[id]?.rest else { return }
    if left.isEmpty { return transfer.exchange.finish() }
    if keepsUp { read(id) } else { transfers[id]?.isBlocked = true }
  }
}
