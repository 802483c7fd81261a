internal import MartletHTTP
package import MartletIO
internal import MartletPrimitives

/// An operator's folder of web pages.
///
/// The disk is looked at by threads that may wait for it. Small files are then kept in memory, text also compressed, and
/// looked at again after a second at the earliest; large ones are sent block by block. A folder shows its `index.html`. Links
/// and names that begin with a dot are not there, but for `.well-known`.
package final class StaticFiles {
  package struct Configuration: Sendable {
    /// The folder.
    package var path: String
    /// For `Cache-Control`; with `no-cache` browsers ask each time and mostly hear 304.
    package var caching = "no-cache"
    /// Bytes of a file up to which it is kept in memory.
    package var memoryFile = 1 << 20
    /// Bytes of all files in memory, for one worker.
    package var memory = 32 << 20

    package init(path: String) { self.path = path }
  }

  private struct Entry {
    let content: StaticContent
    let version: String
    var checked: Instant
  }

  private struct Waiting {
    let exchange: HTTPExchange
    let key: String
  }

  private static let trust = TimeSpan.seconds(1)
  private static let waitingLimit = 4096

  private let configuration: Configuration
  private let pool: ThreadPool
  private let context: LoopContext
  private var entries: [String: Entry] = [:]
  private var memory = 0
  private var waiting: [Int: Waiting] = [:]
  private var count = 0

  /// One for each loop, registered with it; `FileTransfers` has to be as well.
  /// - Parameter pool: where the disk is read.
  package init(_ configuration: Configuration, pool: ThreadPool, in context: LoopContext) {
    self.configuration = configuration
    self.pool = pool
    self.context = context
  }

  /// Takes every GET and HEAD, also to answer that there is nothing: the last fallback of a router.
  package func handle(_ exchange: HTTPExchange) -> Bool {
    let request = exchange.request
    guard request.method == .get || request.method == .head else { return false }
    let segments = request.target.segments
    guard !segments.contains(where: { $0.hasPrefix(".") && $0 != ".well-known" }) else {
      refuse(exchange)
      return true
    }
    let isFolder = request.target.hasTrailingSlash || segments.isEmpty
    let key = segments.joined(separator: "/") + (isFolder ? "/" : "")
    if let entry = entries[key], context.now - entry.checked < Self.trust {
      entry.content.respond(exchange)
    } else {
      look(for: key, exchange)
    }
    return true
  }

  private func look(for key: String, _ exchange: HTTPExchange) {
    let search = StaticFileSearch(
      configuration, key: key, known: entries[key]?.version,
      wantsGzip: !exchange.request.fields.contains("Range") && AcceptEncoding.choose(exchange.request.fields) == "gzip")
    count += 1
    let (id, loop) = (count, context.loop)
    let isAccepted =
      waiting.count < Self.waitingLimit
      && pool.submit {
        let found = search.run()
        loop.post { $0.service(StaticFiles.self).didLook(found, id) }
      }
    guard isAccepted else { return exchange.refuse(.serviceUnavailable, "too many requests wait for the disk") }
    waiting[id] = Waiting(exchange: exchange, key: key)
    exchange.onClose = { [weak self] in self?.waiting[id] = nil }
  }

  private func didLook(_ found: StaticFileSearch.Found, _ id: Int) {
    guard let request = waiting.removeValue(forKey: id) else { return }
    let exchange = request.exchange
    exchange.onClose = nil
    switch found {
    case .unchanged:
      entries[request.key]?.checked = context.now
      // It may have been dropped meanwhile.
      guard let entry = entries[request.key] else { return look(for: request.key, exchange) }
      entry.content.respond(exchange)
    case .memory(let content, let version):
      keep(Entry(content: content, version: version, checked: context.now), request.key)
      content.respond(exchange)
    case .file(let content): content.respond(exchange)
    case .folder:
      let target = exchange.request.target
      let location = target.rawPath + "/" + (target.rawQuery.map { "?\($0)" } ?? "")
      exchange.respond(.movedPermanently, ["Location": Self.withoutAuthority(location)])
    case .missing:
      forget(request.key)
      refuse(exchange)
    }
  }

  /// `//host/` would lead a browser to another host.
  private static func withoutAuthority(_ path: String) -> String { "/" + path.drop { $0 == "/" } }

  private func refuse(_ exchange: HTTPExchange) {
    exchange.refuse(.notFound, "there is nothing at \(exchange.request.target.path)")
  }

  // MARK: Memory

  private func keep(_ entry: Entry, _ key: String) {
    forget(key)
    guard entry.content.size <= configuration.memory / 2 else { return }
    // Rarely more than the folder holds; whatever goes comes back with its next request.
    while memory + entry.content.size > configuration.memory, let oldest = entries.min(by: { $0.value.checked < $1.value.checked })?.key {
      forget(oldest)
    }
    memory += entry.content.size
    entries[key] = entry
  }

  private func forget(_ key: String) {
    guard let entry = entries.removeValue(forKey: key) else { return }
    memory -= entry.content.size
  }
}
