internal import MartletPrimitives
package import MartletSocketIO

/// What is behind the namespaces of one endpoint, on one worker. Calls come on the loop; each socket's come in order, and none
/// comes from inside one of the socket's own methods.
package protocol SocketIOApplication: AnyObject {
  /// A client wants into a namespace: answer with `socket.accept` or `socket.refuse`, now or later. A client that leaves
  /// before that is told by `socketDidDisconnect`.
  func socketIsConnecting(_ socket: SocketIOSocket)
  func socket(_ socket: SocketIOSocket, didReceive event: SocketIOEvent)
  /// Little waits for the client again, after `socket.keepsUp` was false.
  func socketIsWritable(_ socket: SocketIOSocket)
  /// The last call.
  /// - Parameter reason: in the words of the reference implementation, such as `client namespace disconnect`.
  func socketDidDisconnect(_ socket: SocketIOSocket, _ reason: String)
}

extension SocketIOApplication {
  package func socketIsWritable(_ socket: SocketIOSocket) {}
}
