internal import CShims
internal import CUV
internal import Glibc
package import MartletPrimitives

/// Why a name has no address, in the resolver's words.
package struct ResolveError: Error, Equatable, Sendable, CustomStringConvertible {
  package let description: String
}

/// Host names to addresses of both families, through libuv's threads.
package enum Resolver {
  /// Calls `then` once, never before this returns.
  ///
  /// - Parameter host: a name, or an address literal without brackets.
  /// - Returns: through `then`, the families in turn (RFC 8305 §4), beginning with the one that the system prefers.
  package static func resolve(
    _ host: String, port: UInt16, in context: LoopContext, then: @escaping (Result<[SocketAddress], ResolveError>) -> Void
  ) {
    if let ip = IPAddress(host) { return context.atEndOfTurn { then(.success([SocketAddress(ip: ip, port: port)])) } }
    let query = Query(port: port, then)
    var hints = addrinfo()
    hints.ai_family = AF_UNSPEC
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    hints.ai_flags = AI_ADDRCONFIG
    query.request.pointee.data = Unmanaged.passRetained(query).toOpaque()
    let code = uv_getaddrinfo(context.uv, query.request, { Resolver.finish($0, $1, $2) }, host, nil, &hints)
    guard code != 0 else { return }
    query.request.pointee.data.map { Unmanaged<Query>.fromOpaque($0).release() }
    context.atEndOfTurn { then(.failure(failure(code))) }
  }

  private static func finish(_ request: UnsafeMutablePointer<uv_getaddrinfo_t>?, _ code: Int32, _ list: UnsafeMutablePointer<addrinfo>?) {
    defer { uv_freeaddrinfo(list) }
    guard let data = request?.pointee.data else { return }
    let query = Unmanaged<Query>.fromOpaque(data).takeRetainedValue()
    guard code == 0 else { return query.then(.failure(failure(code))) }
    let addresses = interleaved(read(list, port: query.port))
    query.then(addresses.isEmpty ? .failure(ResolveError(description: "the name has no address")) : .success(addresses))
  }

  private static func failure(_ code: Int32) -> ResolveError { ResolveError(description: String(cString: uv_strerror(code))) }

  private static func read(_ list: UnsafeMutablePointer<addrinfo>?, port: UInt16) -> [SocketAddress] {
    var addresses: [SocketAddress] = []
    var next = list
    while let entry = next?.pointee, addresses.count < 32 {
      next = entry.ai_next
      guard let raw = entry.ai_addr, entry.ai_addrlen <= MemoryLayout<sockaddr_storage>.size else { continue }
      var storage = sockaddr_storage()
      withUnsafeMutableBytes(of: &storage) { $0.copyMemory(from: UnsafeRawBufferPointer(start: raw, count: Int(entry.ai_addrlen))) }
      guard var address = SocketAddress(storage) else { continue }
      address.port = port
      if !addresses.contains(address) { addresses.append(address) }
    }
    return addresses
  }

  private static func interleaved(_ addresses: [SocketAddress]) -> [SocketAddress] {
    func isV6(_ address: SocketAddress) -> Bool { if case .v6 = address.ip { true } else { false } }
    guard let first = addresses.first else { return [] }
    let preferred = addresses.filter { isV6($0) == isV6(first) }
    let others = addresses.filter { isV6($0) != isV6(first) }
    var result: [SocketAddress] = []
    for index in 0..<max(preferred.count, others.count) {
      if index < preferred.count { result.append(preferred[index]) }
      if index < others.count { result.append(others[index]) }
    }
    return result
  }

  private final class Query {
    let request = UnsafeMutablePointer<uv_getaddrinfo_t>.allocate(capacity: 1)
    let port: UInt16
    let then: (Result<[SocketAddress], ResolveError>) -> Void

    init(port: UInt16, _ then: @escaping (Result<[SocketAddress], ResolveError>) -> Void) {
      self.port = port
      self.then = then
    }

    deinit { request.deallocate() }
  }
}
