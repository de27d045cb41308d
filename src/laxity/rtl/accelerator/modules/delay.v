// A word that arrives STAGES cycles later. While rst is high the line fills with zeros.
module delay #(
  parameter WIDTH = 1,
  parameter STAGES = 1
) (
  input wire clk,
  input wire rst,
  input wire [WIDTH-1:0] in,
  output wire [WIDTH-1:0] out
);
  generate
    if (STAGES == 0) begin : straight
      assign out = in;
    end else if (STAGES == 1) begin : single
      reg [WIDTH-1:0] line;
      always @(posedge clk) line <= rst ? {WIDTH{1'b0}} : in;
      assign out = line;
    end else begin : several
      reg [WIDTH*STAGES-1:0] line;
      always @(posedge clk) line <= rst ? {(WIDTH * STAGES) {1'b0}} : {line[WIDTH*(STAGES-1)-1:0], in};
      assign out = line[WIDTH*STAGES-1:WIDTH*(STAGES-1)];
    end
  endgenerate
endmodule
