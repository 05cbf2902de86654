//! What stands for the services of the image gallery in their containers: answers one path with a few metrics, on
//! port 80. Built by itself as a static program, so that its image holds nothing else.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Instant;

fn answer(stream: TcpStream, path: &str, name: &str, started: Instant) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let asked = line.split(' ').nth(1).unwrap_or_default().to_owned();
        while !matches!(line.as_str(), "\r\n" | "\n") {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
        }
        let (status, body) = if asked == path {
            let tenths = started.elapsed().as_millis() / 100;
            ("200 OK", format!("# TYPE {name}_total counter\n{name}_total {tenths}\n"))
        } else {
            ("404 Not Found", String::new())
        };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        reader.get_mut().write_all((head + &body).as_bytes())?;
    }
}

fn main() {
    let mut args = std::env::args().skip(1);
    let (path, name) = (args.next().expect("a path"), args.next().expect("a name"));
    let listener = TcpListener::bind("0.0.0.0:80").expect("port 80");
    let started = Instant::now();
    for stream in listener.incoming().flatten() {
        let (path, name) = (path.clone(), name.clone());
        std::thread::spawn(move || answer(stream, &path, &name, started));
    }
}
